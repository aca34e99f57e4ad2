"""Secrets are made once, kept for good, and never shown."""

from __future__ import annotations

import base64
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st
from signedjson.key import decode_signing_key_base64, encode_verify_key_base64, get_verify_key

from synapse_bundle import RELEASED
from synapse_bundle.credentials import authority, authority_check, collection, generated
from synapse_bundle.credentials.tunnel_credential import FIELDS, read_credential
from synapse_bundle.errors import SettingsError
from synapse_bundle.settings import loading
from synapse_bundle.settings.model import Settings
from synapse_bundle.sizing import MIB
from tests.settings import DIRECTORY

TUNNELED = loading.load(DIRECTORY / "domain.yaml")
DOMAIN = "server_name: example.org\nemail: you@example.org\n"
PROVIDED = loading.parse(
    f"{DOMAIN}certificates: own-authority\ntunnel: cloudflare\n", "settings.yaml"
)
NOW = datetime(2030, 1, 1, tzinfo=UTC)
UUID = "6ba7b810-9dad-41d1-80b4-00c04fd430c8"
TUNNELS = st.fixed_dictionaries(
    {
        "AccountTag": st.text("0123456789abcdef", min_size=32, max_size=32),
        "TunnelSecret": st.binary(min_size=32, max_size=64).map(
            lambda secret: base64.b64encode(secret).decode()
        ),
        "TunnelID": st.uuids().map(str),
    },
    optional={"Endpoint": st.sampled_from(("", "fed"))},
)
# The commands that Cloudflare's dashboard shows for copying.
COMMANDS = (
    "{}",
    "cloudflared service install {}",
    "docker run cloudflare/cloudflared:latest tunnel --no-autoupdate run --token {}",
)


def test_first_run_makes_every_secret(tmp_path: Path) -> None:
    """All secrets exist, differ from one another, and pass their own checks."""
    made = collection.collect(tmp_path, Settings(workers="small"), tmp_path).values
    # The old keys come with a rotation.
    assert set(made) == set(generated.CHECKS) - {"old_signing_keys", "password_pepper"}
    assert len(set(made.values())) == len(made)
    assert [
        name for name, check in generated.CHECKS.items() if name in made and check(made[name])
    ] == []


def test_a_server_without_workers_has_no_secrets_for_them(tmp_path: Path) -> None:
    """They are neither made nor read: they wait in their files for the next workers."""
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    for name in generated.WORKER_MAKERS:
        (secrets / name).write_text("a secret of before\n")
    made = collection.collect(tmp_path, Settings(), tmp_path).values
    assert set(made) & set(generated.WORKER_MAKERS) == set()
    again = collection.collect(tmp_path, Settings(workers="small"), tmp_path).values
    assert {again[name] for name in generated.WORKER_MAKERS} == {"a secret of before"}


def test_two_bundles_share_no_secret(tmp_path: Path) -> None:
    """Nothing is derived from the settings or shipped as a sample."""
    first, second = (collection.collect(tmp_path, Settings(), tmp_path).values for _ in range(2))
    # The instance is empty until the first start.
    assert set(first.values()) & set(second.values()) == {""}


def test_secrets_that_exist_are_kept(tmp_path: Path) -> None:
    """What is in secrets/ is used as it is, up to one newline at its end."""
    made = collection.collect(tmp_path, Settings(), tmp_path).values
    (tmp_path / "secrets").mkdir()
    for name, value in made.items():
        (tmp_path / "secrets" / name).write_text(f"{value}\n")
    assert collection.collect(tmp_path, Settings(), tmp_path).values == made


@pytest.mark.parametrize("text", ["", "\n", "  \n", "password\r\n", "two\nlines\n", "short\n"])
def test_unusable_secrets_are_named_not_shown(tmp_path: Path, text: str) -> None:
    """An empty, short or multi-line secret is refused by name; no new one takes its place."""
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "postgres_password").write_bytes(text.encode())
    (tmp_path / "secrets" / "signing.key").write_text("ed25519 a_bcd tooshortTOOSHORT\n")
    with pytest.raises(SettingsError) as caught:
        collection.collect(tmp_path, Settings(), tmp_path)
    assert "secrets/postgres_password: " in caught.value.message
    assert "secrets/signing.key: is not a signing key" in caught.value.message
    assert "TOOSHORT" not in caught.value.message


def test_half_an_authority_is_completed_or_refused(tmp_path: Path) -> None:
    """A key without its certificate gets a new one; a certificate without its key is of no use."""
    made = collection.collect(tmp_path, Settings(), tmp_path).values
    (tmp_path / "secrets").mkdir()
    key, certificate = tmp_path / "secrets/authority.key", tmp_path / "secrets/authority.pem"
    key.write_text(made["authority.key"] + "\n")
    again = collection.collect(tmp_path, Settings(), tmp_path).values
    assert again["authority.key"] == made["authority.key"]
    public = [
        x509.load_pem_x509_certificate(values["authority.pem"].encode()).public_key()
        for values in (made, again)
    ]
    assert public[0] == public[1]
    key.rename(certificate)
    with pytest.raises(SettingsError, match=r"authority\.key is missing"):
        collection.collect(tmp_path, Settings(), tmp_path)


def write_authority(bundle: Path, key: str, certificate: str) -> None:
    """Put an authority into a bundle."""
    (bundle / "secrets").mkdir(exist_ok=True)
    (bundle / "secrets/authority.key").write_text(f"{key.strip()}\n")
    (bundle / "secrets/authority.pem").write_text(f"{certificate.strip()}\n")


def refuse(bundle: Path, now: datetime = NOW) -> str:
    """Return why no credentials can be had at a moment."""
    with pytest.raises(SettingsError) as caught:
        collection.collect(bundle, Settings(), bundle, now=now)
    return caught.value.message


def make_pair(now: datetime = NOW) -> tuple[str, str]:
    """Return the key and the certificate of an authority made at a moment."""
    key = authority.create_key()
    return key, authority.certify(key, ("localhost",), now)


def make_rsa_key() -> str:
    """Return a private key of another kind."""
    key = rsa.generate_private_key(65537, 2048)
    form = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return key.private_bytes(*form).decode()


def test_an_authority_that_cannot_sign_is_explained(tmp_path: Path) -> None:
    """Garbage, a key of another kind or of another pair: the file, the fault, and two ways out."""
    key, certificate = make_pair()
    garbage = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"
    leaf = (DIRECTORY / "root.pem").read_text().replace("\nMII", "\nMIA", 1)
    for private, public, reason in (
        (garbage, certificate, "secrets/authority.key: holds no readable private key"),
        (make_rsa_key(), certificate, "secrets/authority.key: is not an elliptic-curve key"),
        (key, leaf, "secrets/authority.pem: is not the certificate of an authority"),
        (make_pair()[0], certificate, "authority.key is not the key of secrets/authority.pem"),
    ):
        write_authority(tmp_path, private, public)
        message = refuse(tmp_path)
        assert reason in message
        assert "delete authority.key and authority.pem to make a new one" in message
    for private in (garbage, make_rsa_key()):
        write_authority(tmp_path, private, certificate)
        (tmp_path / "secrets/authority.pem").unlink()
        assert "restore it from a backup, or delete it" in refuse(tmp_path)


def test_a_sound_authority_is_known_without_a_parser() -> None:
    """What a run that changes nothing takes no time for is what the parser would say."""
    key, certificate = make_pair()
    for pair, now, sound in (
        ((key, certificate), NOW, True),
        ((make_pair()[0], certificate), NOW, False),
        ((make_rsa_key(), certificate), NOW, False),
        ((key, certificate), NOW - timedelta(days=2), False),
        ((key, certificate), NOW + authority.LIFETIME + timedelta(days=1), False),
        (make_pair(datetime(1970, 1, 1, tzinfo=UTC)), NOW, False),
    ):
        assert authority_check.is_plainly_sound(pair[0].strip(), pair[1].strip(), now) == sound
        assert (not list(authority_check.find_pair_faults(*pair, now))) == sound


@pytest.mark.parametrize("year", [1970, 2026, 9990])
def test_no_authority_is_made_by_a_wrong_clock(tmp_path: Path, year: int) -> None:
    """A clock before the release, or centuries later, is reported; nothing is certified by it."""
    message = refuse(tmp_path, datetime(year, 1, 1, tzinfo=UTC))
    assert f"this machine's clock says {year}-01-01" in message
    assert "set the clock" in message


def test_an_authority_of_another_time_is_noticed_later(tmp_path: Path) -> None:
    """One that a wrong clock has made, or that has ended, is not called identical for ever."""
    then = datetime(1970, 1, 2, tzinfo=UTC)
    write_authority(tmp_path, *make_pair(then))
    message = refuse(tmp_path)
    assert "secrets/authority.pem is valid from 1970-01-01 to 1989-12-28" in message
    assert "delete authority.pem to make a new one" in message
    # As the message says: the key stays, and devices must trust the new certificate.
    (tmp_path / "secrets/authority.pem").unlink()
    collection.collect(tmp_path, Settings(), tmp_path, now=NOW)


def test_the_release_is_not_in_the_future() -> None:
    """Or every clock would be called wrong."""
    assert datetime.now(UTC) >= RELEASED


@pytest.mark.parametrize("kind", ["fifo", "device", "huge"])
def test_a_credential_that_is_no_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    """No run waits for a FIFO, and nothing reads a device for ever; the file is called as it is."""
    path = tmp_path / "tunnel.json"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.write_bytes(bytes(2 * MIB))
    with pytest.raises(SettingsError) as caught:
        collection.collect(tmp_path / "bundle", TUNNELED, tmp_path)
    reason = "larger than 1024 KiB" if kind == "huge" else "not a regular file"
    assert caught.value.message.splitlines()[1:] == [f"  {path}: {reason}"]


def test_a_file_beside_the_settings_is_called_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not as if it lay in the root of the machine."""
    monkeypatch.chdir(tmp_path)
    Path("tunnel.json").write_text("no json")
    with pytest.raises(SettingsError, match=r"\n  tunnel\.json: is neither"):
        collection.collect(Path("bundle"), TUNNELED, Path())


def test_a_lost_identity_is_not_replaced_without_a_word(tmp_path: Path) -> None:
    """A bundle that was generated gets no new signing key by accident."""
    (tmp_path / "compose.yaml").write_text("services: {}\n")
    with pytest.raises(SettingsError, match=r"secrets/signing\.key is missing"):
        collection.collect(tmp_path, Settings(), tmp_path)


def test_verify_key_is_the_public_half(tmp_path: Path) -> None:
    """The public key equals what Matrix's own library derives."""
    made = collection.collect(tmp_path, Settings(), tmp_path)
    algorithm, version, seed = made["signing.key"].split()
    key = decode_signing_key_base64(algorithm, version, seed)
    expected = f"ed25519:{version} {encode_verify_key_base64(get_verify_key(key))}"
    assert made.verify_key == expected


def test_representation_hides_values(tmp_path: Path) -> None:
    """A credential in a traceback or a log line shows nothing."""
    made = collection.collect(tmp_path, Settings(), tmp_path)
    assert [value for value in made.values.values() if value and value in repr(made)] == []


def test_tunnel_credentials_are_imported_and_follow_the_file(tmp_path: Path) -> None:
    """The named file is copied in; without it the copy serves; a new file replaces the copy."""
    made = collection.collect(tmp_path, TUNNELED, DIRECTORY)
    assert made.tunnel_id == "6ba7b810-9dad-41d1-80b4-00c04fd430c8"
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "tunnel.json").write_text(made["tunnel.json"] + "\n")
    assert collection.collect(tmp_path, TUNNELED, tmp_path)["tunnel.json"] == made["tunnel.json"]
    moved = made["tunnel.json"].replace("6ba7b810", "00000000")
    (tmp_path / "tunnel.json").write_text(moved)
    assert collection.collect(tmp_path, TUNNELED, tmp_path).tunnel_id.startswith("00000000-")


@pytest.mark.parametrize(
    "document",
    [
        "no json at all",
        "[]",
        "{}",
        '{"a": ' * 100_000,
        json.dumps({"AccountTag": "a", "TunnelID": "x", "TunnelSecret": "S0VZ" * 11}),
        json.dumps({"AccountTag": "a", "TunnelID": "6ba7b810-9dad-41d1-80b4-00c04fd430c8",
                    "TunnelSecret": "S0VZ"}),
        json.dumps({"AccountTag": "", "TunnelID": "6ba7b810-9dad-41d1-80b4-00c04fd430c8",
                    "TunnelSecret": "S0VZ" * 11}),
    ],
)  # fmt: skip
def test_malformed_tunnel_credentials_are_refused(tmp_path: Path, document: str) -> None:
    """What cloudflared could not use is refused before anything is written, without its content."""
    (tmp_path / "tunnel.json").write_text(document)
    with pytest.raises(SettingsError) as caught:
        collection.collect(tmp_path / "bundle", TUNNELED, tmp_path)
    assert "tunnel.json: " in caught.value.message
    assert "S0VZ" not in caught.value.message


def test_missing_tunnel_credentials_are_explained(tmp_path: Path) -> None:
    """A tunnel without its file says which key names it, without a key what makes one."""
    with pytest.raises(SettingsError, match=r"tunnel\.credentials names it"):
        collection.collect(tmp_path / "bundle", TUNNELED, tmp_path)
    with pytest.raises(SettingsError, match="synapse-bundle tunnel import"):
        collection.collect(tmp_path / "bundle", PROVIDED, tmp_path)


@given(document=TUNNELS, command=st.sampled_from(COMMANDS), blanks=st.sampled_from(("", "\n")))
def test_a_tunnel_token_is_the_credentials_file_in_another_form(
    document: dict[str, str], command: str, blanks: str
) -> None:
    """A token, alone or in the command around it, gives the very values of the file."""
    short = {letter: document[name] for name, letter in FIELDS.items() if name in document}
    token = base64.b64encode(json.dumps(short).encode()).decode()
    pasted = command.format(token) + blanks
    assert json.loads(read_credential(pasted)) == document
    assert json.loads(read_credential(json.dumps(document) + blanks)) == document


@given(cut=st.integers(1, 200), extra=st.text(max_size=5))
def test_a_damaged_tunnel_token_is_refused_without_showing_it(cut: int, extra: str) -> None:
    """What was cut short, or is something else, is reported in words that hold nothing of it."""
    short = {"a": "0" * 32, "s": base64.b64encode(b"K" * 32).decode(), "t": UUID}
    token = base64.b64encode(json.dumps(short).encode()).decode()
    damaged = token[: min(cut, len(token) - 4)] + extra
    with pytest.raises(ValueError, match=r"^(is|has) ") as caught:
        read_credential(damaged)
    assert token[:8] not in str(caught.value)


def test_what_was_given_by_hand_outlives_a_change_of_settings(tmp_path: Path) -> None:
    """A credential without another copy stays in the bundle while the settings do not use it."""
    tunnel = (DIRECTORY / "tunnel.json").read_text().strip()
    made = collection.collect(tmp_path, PROVIDED, tmp_path, {"tunnel.json": tunnel})
    assert made["tunnel.json"] == tunnel
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "tunnel.json").write_text(tunnel + "\n")
    without = loading.parse("certificates: own-authority\n" + DOMAIN, "settings.yaml")
    assert collection.collect(tmp_path, without, tmp_path)["tunnel.json"] == tunnel


def test_authority_is_good_for_the_homeserver_alone() -> None:
    """A device that trusts the authority trusts it for these names and nothing else."""
    pem = authority.certify(authority.create_key(), ("matrix.example.org", "example.org"), NOW)
    certificate = x509.load_pem_x509_certificate(pem.encode())
    constraints = certificate.extensions.get_extension_for_class(x509.NameConstraints)
    assert constraints.critical
    assert constraints.value.permitted_subtrees is not None
    domains = [name.value for name in constraints.value.permitted_subtrees[:2]]
    assert domains == ["matrix.example.org", "example.org"]
    assert str(constraints.value.permitted_subtrees[2].value) == "127.0.0.1/32"
