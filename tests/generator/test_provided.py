"""The DNS token and what else others made: copied, checked, never shown and never an argument."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path

import pytest

from synapse_bundle.credentials import collection, provided
from synapse_bundle.errors import SettingsError
from synapse_bundle.settings import loading
from tests.settings import DIRECTORY

REAL = loading.load(DIRECTORY / "letsencrypt.yaml")
TOKEN = (DIRECTORY / "dns_token").read_text().strip()


def prepare(place: Path) -> None:
    """Write settings for a real domain whose token is not in a file."""
    (place / "settings.yaml").write_text("server_name: example.org\nemail: you@example.org\n")


def generate(place: Path, *arguments: str, typed: str = "") -> tuple[int, str]:
    """Run `generate`."""
    return run(place, "generate", *arguments, typed=typed)


def run(place: Path, *arguments: str, typed: str = "") -> tuple[int, str]:
    """Run a command as a person does through a pipe; return exit code and all it said."""
    command = [sys.executable, "-m", "synapse_bundle", *arguments]
    done = subprocess.run(
        command, cwd=place, input=typed, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_a_token_file_is_copied_and_followed(tmp_path: Path) -> None:
    """The named file's token is the bundle's; without the file the copy serves."""
    assert collection.collect(tmp_path, REAL, DIRECTORY)["dns_token"] == TOKEN
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "dns_token").write_text(TOKEN[::-1] + "\n")
    (tmp_path / "tunnel.json").write_text((DIRECTORY / "tunnel.json").read_text())
    assert collection.collect(tmp_path, REAL, tmp_path)["dns_token"] == TOKEN[::-1]


def test_a_missing_token_is_reported_with_the_way_to_one(tmp_path: Path) -> None:
    """At generate time: where it is made, with which permission, and how it gets in."""
    prepare(tmp_path)
    code, said = generate(tmp_path)
    assert code == 2
    assert "profile/api-tokens (Zone, DNS, Edit; one zone)" in said
    assert "synapse-bundle generate --token" in said
    assert not (tmp_path / "bundle").exists()


def test_a_token_on_standard_input_is_taken_and_kept(tmp_path: Path) -> None:
    """The token is written with its mode, shown nowhere, and survives another issuer for a day."""
    prepare(tmp_path)
    code, said = generate(tmp_path, "--token", typed=TOKEN + "\n")
    assert code == 0, said
    file = tmp_path / "bundle" / "secrets" / "dns_token"
    assert file.read_text() == TOKEN + "\n"
    assert TOKEN not in said
    settings = (tmp_path / "settings.yaml").read_text()
    (tmp_path / "settings.yaml").write_text(settings + "certificates: own-authority\n")
    assert generate(tmp_path)[0] == 0
    assert file.read_text() == TOKEN + "\n"
    compose = (tmp_path / "bundle" / "compose.yaml").read_text()
    assert "dns_token" not in compose


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is not a Cloudflare API token"),
        ("short", "is not a Cloudflare API token"),
        (f"Bearer {TOKEN}", "is not a Cloudflare API token"),
        (f"{TOKEN}=", "is not a Cloudflare API token"),
        ("0123456789abcdef0123456789abcdef01234", "Global API Key"),
        ("cfk_" + "x" * 48, "Global API Key"),
    ],
)
def test_a_malformed_token_is_refused_unseen(tmp_path: Path, text: str, reason: str) -> None:
    """What Cloudflare would refuse is refused before anything is written, without its text."""
    prepare(tmp_path)
    code, said = generate(tmp_path, "--token", typed=text + "\n")
    assert code == 2
    assert reason in said
    assert not text or text not in said


def write_tunnelled(place: Path, tunnel: str = "tunnel: cloudflare\n") -> None:
    """Write settings whose tunnel's credential is in the bundle."""
    prepare(place)
    with (place / "settings.yaml").open("a") as file:
        file.write(f"certificates: own-authority\n{tunnel}")


def test_a_tunnel_is_imported_from_standard_input(tmp_path: Path) -> None:
    """Token and file give the same bundle, which keeps the credential and shows it nowhere."""
    write_tunnelled(tmp_path)
    document = json.loads((DIRECTORY / "tunnel.json").read_text())
    short = {"a": "AccountTag", "s": "TunnelSecret", "t": "TunnelID", "e": "Endpoint"}
    text = json.dumps({letter: document[name] for letter, name in short.items()})
    token = base64.b64encode(text.encode()).decode()
    kept = tmp_path / "bundle" / "secrets" / "tunnel.json"
    code, said = run(tmp_path, "generate")
    assert (code, "synapse-bundle tunnel import" in said) == (2, True)
    assert not (tmp_path / "bundle").exists()
    for typed in (f"cloudflared service install {token}\n", json.dumps(document, indent=1)):
        code, said = run(tmp_path, "tunnel", "import", typed=typed)
        assert code == 0, said
        assert json.loads(kept.read_text()) == document
        assert document["TunnelSecret"] not in said
        assert token not in said
    assert run(tmp_path, "generate")[0] == 0
    assert json.loads(kept.read_text()) == document


@pytest.mark.parametrize(
    ("tunnel", "typed", "reason"),
    [
        ("tunnel: cloudflare\n", "eyJhIjoiMDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWYi\n", "JSON"),
        ("tunnel: cloudflare\n", "", "is neither a tunnel token nor a tunnel credentials file"),
        ("", "{}", "add the line `tunnel: cloudflare`"),
    ],
)
def test_an_unusable_tunnel_changes_nothing(
    tmp_path: Path, tunnel: str, typed: str, reason: str
) -> None:
    """What is not a credential, or has no place in the settings, is reported and leaves no file."""
    write_tunnelled(tmp_path, tunnel)
    code, said = run(tmp_path, "tunnel", "import", typed=typed)
    assert (code, reason in said) == (2, True), said
    assert not (tmp_path / "bundle").exists()


def test_roots_and_addresses_are_checked() -> None:
    """A root file holds certificates and no key; addresses are one a line."""
    root = (DIRECTORY / "root.pem").read_text().strip()
    assert provided.check_root(f"{root}\n{root}") == ""
    assert provided.check_root(root.replace("CERTIFICATE", "PRIVATE KEY"))
    assert provided.check_root("")
    assert provided.check_notification("mailto://u:p@example.org\njson://example.org") == ""
    assert "line 2" in provided.check_notification("json://example.org\nexample.org")


def test_a_heartbeat_address_is_checked_unseen() -> None:
    """One https address, with whatever path and query the service gave."""
    for good in ("https://hc.example.org/ping/0f-1e", "https://kuma.example.org:3001/api?a=b&c=d"):
        assert provided.check_heartbeat(good) == ""
    for bad in (
        *("", "http://hc.example.org/secret", "https://", "https://u:secret@example.org/"),
        *("https://example.org:0/secret", "https://example.org/a\nhttps://example.org/secret"),
        *("https://example.org/secret#part", "https://example.org/a secret"),
    ):
        fault = provided.check_heartbeat(bad)
        assert fault.startswith("is not an https address")
        assert "secret" not in fault


def test_a_missing_root_names_its_key(tmp_path: Path) -> None:
    """A file that is not there is reported with the key that names it."""
    settings = loading.load(DIRECTORY / "acme.yaml")
    with pytest.raises(SettingsError, match=r"certificates\.root names it") as raised:
        collection.collect(tmp_path, settings, tmp_path)
    assert "heartbeat_url: does not exist; heartbeat names it" in str(raised.value)


def test_a_list_of_releases_and_its_keys_are_checked_before_they_are_copied() -> None:
    """A page that was saved instead, or the private key, is not taken for either."""
    signed = (DIRECTORY / "releases.signed").read_text()
    keys = (DIRECTORY / "release_keys.pem").read_text()
    assert provided.check_release_list(signed) == ""
    assert "is not a signed list" in provided.check_release_list("<html>")
    assert "is not a signed list" in provided.check_release_list(signed.partition("\n")[2])
    assert provided.check_release_keys(keys) == provided.check_release_keys(keys + keys) == ""
    for other in ("", keys.replace("PUBLIC", "PRIVATE"), keys + "x"):
        assert "holds only public keys" in provided.check_release_keys(other)
