"""One Secret of the cluster, written with the token of the helper's own account.

That account may get and patch this Secret and nothing else. A merge patch (RFC 7386) leaves keys that it
does not name, and removes those that it gives as null.
"""

from __future__ import annotations

import binascii
import json
import ssl
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from ..errors import HelperError
from ..exchange import OK, Answer, Endpoint, Request, ask

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..settings.publication_settings import PublicationSettings


def write_secret(settings: PublicationSettings, contents: Mapping[str, bytes | None]) -> None:
    """Bring keys of the Secret to these contents, None for a key that must not be there.

    What is right already is not written again. HelperError says what to fix.
    """
    held = _ask(settings, "GET").json().get("data") or {}
    wanted = {key: _encode(value) for key, value in contents.items()}
    changed = {key: value for key, value in wanted.items() if held.get(key) != value}
    if changed:
        _ask(settings, "PATCH", {"data": changed})


def _encode(value: bytes | None) -> str | None:
    return None if value is None else binascii.b2a_base64(value, newline=False).decode()


def _ask(
    settings: PublicationSettings, method: str, body: Mapping[str, Any] | None = None
) -> Answer:
    name = f"{settings.namespace}/{settings.secret}"
    token, roots = settings.access / "token", settings.access / "ca.crt"
    try:
        headers = {"Authorization": f"Bearer {token.read_text(encoding='ascii').strip()}"}
        context = ssl.create_default_context(cafile=str(roots))
    except (OSError, ValueError) as error:
        raise HelperError(
            f"the token of this pod at {settings.access} cannot be used ({error});"
            " apply the manifests again"
        ) from error
    host, _ = settings.address
    endpoint = Endpoint(
        service="the cluster's API",
        address=settings.address,
        host=f"[{host}]" if ":" in host else host,
        tls=context,
        tls_name=host,
    )
    if body is not None:
        headers["Content-Type"] = "application/merge-patch+json"
    target = f"/api/v1/namespaces/{settings.namespace}/secrets/{settings.secret}"
    content = b"" if body is None else json.dumps(body).encode()
    answer = ask(endpoint, Request(target=target, method=method, headers=headers, body=content))
    if answer.status not in OK:
        raise HelperError(_explain(answer, name, method))
    return answer


def _explain(answer: Answer, name: str, method: str) -> str:
    causes = {
        HTTPStatus.UNAUTHORIZED: "the token of this pod is not valid",
        HTTPStatus.FORBIDDEN: "the account of this pod may not do that",
        HTTPStatus.NOT_FOUND: "there is no such Secret",
    }
    cause = next((text for code, text in causes.items() if code == answer.status), "")
    said = f": {cause}; apply the manifests again" if cause else ""
    return f"the cluster refuses to {method.lower()} the Secret {name} ({answer.status}{said})"
