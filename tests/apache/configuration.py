"""Renders `compose/apache` for a shape of the settings, as the generator does."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

if TYPE_CHECKING:
    from collections.abc import Mapping

TEMPLATES = Path(__file__).parents[2] / "compose" / "apache"
UPLOAD_LIMIT = 20_000_000

TOPOLOGY = SimpleNamespace(
    synapse=SimpleNamespace(host="synapse", port=8008),
    apache=SimpleNamespace(port=443, health_port=8081, certificates="/certificates"),
    cloudflared=SimpleNamespace(address="192.0.2.2"),
)
SUPPORT = SimpleNamespace(
    email_address="help@example.org", matrix_id=None, page="https://example.org/help"
)


def describe_trial() -> dict[str, Any]:
    """Return what templates see when nothing was set."""
    settings = SimpleNamespace(
        server_name="localhost",
        homeserver="localhost",
        trial=True,
        max_upload_size=UPLOAD_LIMIT,
        support=None,
        tunnel=None,
    )
    return {
        "settings": settings,
        "topology": TOPOLOGY,
        "base_url": "https://localhost:8443",
        "federation_address": "localhost:8443",
    }


def describe_domain(trusted: str = "192.0.2.2") -> dict[str, Any]:
    """Return what templates see for a domain behind a tunnel whose near end is `trusted`."""
    settings = SimpleNamespace(
        server_name="example.org",
        homeserver="matrix.example.org",
        trial=False,
        max_upload_size=UPLOAD_LIMIT,
        support=SUPPORT,
        tunnel=SimpleNamespace(),
    )
    cloudflared = SimpleNamespace(address=trusted)
    return {
        "settings": settings,
        "topology": SimpleNamespace(**{**vars(TOPOLOGY), "cloudflared": cloudflared}),
        "base_url": "https://matrix.example.org",
        "federation_address": "matrix.example.org:443",
    }


def render_text(name: str, context: Mapping[str, Any]) -> str:
    """Return the text that the template `name` becomes."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 - as the generator, whose templates escape for themselves
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(name).render(context)


def render_folder(folder: Path, context: Mapping[str, Any], **replaced: str) -> Path:
    """Write the folder that is mounted at /etc/homeserver; return it.

    `replaced` gives a directive of httpd.conf another value, to make a long wait short.
    """
    for template in TEMPLATES.rglob("*.j2"):
        name = template.relative_to(TEMPLATES)
        text = render_text(str(name), context)
        for directive, value in replaced.items():
            text = replace_directive(text, directive, value) if name.stem == "httpd.conf" else text
        target = folder / name.with_suffix("")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return folder


def replace_directive(text: str, directive: str, value: str) -> str:
    """Return `text` with the one line of `directive` changed."""
    lines = text.splitlines(keepends=True)
    (index,) = (i for i, line in enumerate(lines) if line.split()[:1] == [directive])
    lines[index] = f"{directive} {value}\n"
    return "".join(lines)
