"""What the templates become, read by Apache's own parser and by eye of a client."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import Any

import pytest

from tests.apache.configuration import describe_domain, describe_trial, render_folder, render_text
from tests.support.engine import try_docker

SHAPES = {"trial": describe_trial, "domain": describe_domain}
shapes = pytest.mark.parametrize("shape", SHAPES)


@pytest.mark.engine
@shapes
def test_apache_accepts_the_configuration(image: str, shape: str, tmp_path: Any) -> None:
    """Apache's own parser accepts what each shape becomes, without a word of warning."""
    folder = render_folder(tmp_path / "apache", SHAPES[shape]())
    tmp_path.chmod(0o755)
    # The parser wants a certificate that is not empty, but never looks into it.
    script = "echo x >/run/apache2/certificate.pem && apache2 -t -f /etc/homeserver/httpd.conf"
    mounts = ("--tmpfs=/run/apache2:uid=33,gid=33", f"--volume={folder}:/etc/homeserver:ro")
    done = try_docker("run", "--rm", *mounts, "--entrypoint=sh", image, "-c", script)
    assert (done.returncode, done.stdout + done.stderr) == (0, "Syntax OK\n")


@shapes
def test_well_known_documents_are_json(shape: str) -> None:
    """Client and server documents are JSON that names the addresses of the settings."""
    context = SHAPES[shape]()
    client = json.loads(render_text("well-known/client.json.j2", context))
    server = json.loads(render_text("well-known/server.json.j2", context))
    assert client == {"m.homeserver": {"base_url": context["base_url"]}}
    assert server == {"m.server": context["federation_address"]}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            {"email_address": "a@b.c", "matrix_id": "@a:b.c", "page": None},
            {
                "contacts": [
                    {"role": "m.role.admin", "email_address": "a@b.c", "matrix_id": "@a:b.c"}
                ]
            },
        ),
        (
            {"email_address": None, "matrix_id": None, "page": "https://b.c/help"},
            {"support_page": "https://b.c/help"},
        ),
    ],
)
def test_support_document_states_only_what_was_set(
    given: dict[str, str | None], expected: dict[str, Any]
) -> None:
    """The support document holds the contacts that were set, and no empty ones."""
    context = describe_domain()
    vars(context["settings"])["support"] = type("Support", (), given)
    assert json.loads(render_text("well-known/support.json.j2", context)) == expected


def test_support_document_is_empty_without_contact() -> None:
    """Without a contact the support document renders to nothing, which Apache answers with 404."""
    assert render_text("well-known/support.json.j2", describe_trial()) == ""


def test_landing_page_style_is_the_one_that_is_allowed() -> None:
    """The content security policy allows exactly the style sheet inside the landing page."""
    context = describe_domain()
    found = re.search(
        "<style>(.*?)</style>", render_text("htdocs/index.html.j2", context), re.DOTALL
    )
    assert found is not None
    digest = base64.b64encode(hashlib.sha256(found[1].encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in render_text("httpd.conf.j2", context)


def test_a_slow_body_ends_in_time() -> None:
    """However slowly a body arrives, it ends within half an hour; the largest may take that long."""
    text = render_text("httpd.conf.j2", describe_trial())
    found = re.search(r"^RequestReadTimeout .* body=\d+-(\d+),MinRate=(\d+)$", text, re.MULTILINE)
    assert found is not None
    assert int(found[1]) <= 1800
    assert int(found[2]) >= 4000


def test_client_address_is_believed_only_behind_a_tunnel() -> None:
    """mod_remoteip, which believes everybody when it trusts nobody, is absent without a tunnel."""
    assert "remoteip" not in render_text("httpd.conf.j2", describe_trial()).lower()
    assert "RemoteIPTrustedProxy 192.0.2.2\n" in render_text("httpd.conf.j2", describe_domain())
