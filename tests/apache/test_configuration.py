"""Apache's configuration as the generator plans it, read by Apache's parser and as a client would."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from synapse_bundle.networks import derive_tunnel_subnet
from tests.apache.configuration import (
    PROJECT,
    ApacheConfiguration,
    plan_domain,
    plan_trial,
    plan_workers,
)
from tests.support.engine import try_docker

SHAPES: Final[dict[str, Callable[[], ApacheConfiguration]]] = {
    "trial": plan_trial,
    "domain": plan_domain,
}
ADDRESSES: Final = {
    "trial": ("https://localhost:8443", "localhost:8443"),
    "domain": ("https://matrix.example.org", "matrix.example.org:443"),
}
POOLED: Final[dict[str, Callable[[], ApacheConfiguration]]] = {
    name: functools.partial(plan_workers, name) for name in ("small", "spread")
}
shapes = pytest.mark.parametrize("shape", SHAPES)


@pytest.mark.engine
@pytest.mark.parametrize("shape", [*SHAPES, *POOLED])
def test_apache_accepts_the_configuration(image: str, shape: str, tmp_path: Path) -> None:
    """Apache's own parser accepts each shape without a warning."""
    folder = (POOLED | SHAPES)[shape]().write(tmp_path / "apache")
    tmp_path.chmod(0o755)
    # The parser requires a certificate that is not empty, but never reads it.
    script = "echo x >/run/apache2/certificate.pem && apache2 -t -f /etc/homeserver/httpd.conf"
    mounts = ("--tmpfs=/run/apache2:uid=33,gid=33", f"--volume={folder}:/etc/homeserver:ro")
    done = try_docker("run", "--rm", *mounts, "--entrypoint=sh", image, "-c", script)
    assert (done.returncode, done.stdout + done.stderr) == (0, "Syntax OK\n")


@shapes
def test_well_known_documents_are_json(shape: str) -> None:
    """Client and server documents are JSON that names the addresses of the settings."""
    files = SHAPES[shape]().files
    base_url, federation_address = ADDRESSES[shape]
    client = json.loads(files["well-known/client.json"])
    server = json.loads(files["well-known/server.json"])
    assert client == {"m.homeserver": {"base_url": base_url}}
    assert server == {"m.server": federation_address}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            "{email_address: a@b.c, matrix_id: '@a:b.c'}",
            {
                "contacts": [
                    {"role": "m.role.admin", "email_address": "a@b.c", "matrix_id": "@a:b.c"}
                ]
            },
        ),
        (
            "{page: 'https://b.c/help'}",
            {"support_page": "https://b.c/help"},
        ),
    ],
)
def test_support_document_states_only_what_was_set(given: str, expected: dict[str, Any]) -> None:
    """The support document holds the contacts that were set, and no empty ones."""
    assert json.loads(plan_domain(given).files["well-known/support.json"]) == expected


def test_there_is_no_support_document_without_contact() -> None:
    """Without a contact the support document renders to nothing, which Apache answers with 404."""
    assert "well-known/support.json" not in plan_trial().files


def test_landing_page_style_is_the_one_that_is_allowed() -> None:
    """The content security policy allows exactly the style sheet inside the landing page."""
    files = plan_domain().files
    found = re.search("<style>(.*?)</style>", files["htdocs/index.html"], re.DOTALL)
    assert found is not None
    digest = base64.b64encode(hashlib.sha256(found[1].encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in files["httpd.conf"]


def test_a_slow_body_ends_in_time() -> None:
    """However slowly a body arrives, it ends within half an hour; the largest may take that long."""
    text = plan_trial().files["httpd.conf"]
    found = re.search(r"^RequestReadTimeout .* body=\d+-(\d+),MinRate=(\d+)$", text, re.MULTILINE)
    assert found is not None
    assert int(found[1]) <= 1800
    assert int(found[2]) >= 4000


def test_client_address_is_trusted_only_behind_a_tunnel() -> None:
    """mod_remoteip, which without a list trusts every peer, is absent without a tunnel."""
    assert "remoteip" not in plan_trial().files["httpd.conf"].lower()
    subnet = derive_tunnel_subnet(PROJECT)
    assert f"RemoteIPTrustedProxy {subnet[2]}\n" in plan_domain().files["httpd.conf"]
