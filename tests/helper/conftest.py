"""What the tests of the helper share: an authority, an environment, a homeserver, PostgreSQL."""

from __future__ import annotations

import base64
import contextlib
import secrets
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from signedjson.key import encode_verify_key_base64, generate_signing_key, get_verify_key

from bundle_helper.certificates import keeper
from bundle_helper.check import image_ages
from bundle_helper.settings.service_settings import ServiceSettings
from tests.helper.example_org import ExampleOrg
from tests.helper.homeserver import Homeserver

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOKEN = "secretTOKENsecretTOKENsecretTOKENsecret0"
PERMITTED = ("example.org", "matrix.example.org")


def write_authority(
    directory: Path, permitted: tuple[str, ...] = PERMITTED, lifetime: timedelta = timedelta(3650)
) -> None:
    """Write authority.key and authority.pem as the generator does."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority of the tests")])
    start = datetime.now(UTC) - timedelta(days=1)
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    subtrees = [x509.DNSName(permit) for permit in permitted]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + lifetime)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.NameConstraints(subtrees, None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (directory / "authority.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (directory / "authority.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


@pytest.fixture
def internet() -> Iterator[ExampleOrg]:
    """Return a small internet in which example.org is a good server."""
    with ExampleOrg() as internet:
        internet.build()
        yield internet


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """The files, the environment and the homeserver that a helper would find."""

    environ: dict[str, str]
    secrets: Path
    homeserver: Homeserver

    @property
    def settings(self) -> ServiceSettings:
        """The settings as the helper reads them now."""
        return ServiceSettings.from_environ(self.environ)

    @property
    def secret_values(self) -> list[str]:
        """Whatever must never be shown."""
        return [
            path.read_text().strip() for path in self.secrets.iterdir() if path.suffix != ".pem"
        ]


@pytest.fixture
def secrets_directory(tmp_path: Path) -> Path:
    """Make a directory with the secret files of a bundle."""
    directory = tmp_path / "secrets"
    directory.mkdir()
    for name in (
        "postgres_password",
        "synapse_database_password",
        "admin_password",
        "registration_shared_secret",
    ):
        (directory / name).write_text(secrets.token_hex(16) + "\n")
    write_authority(directory)
    return directory


@pytest.fixture
def environ(tmp_path: Path, secrets_directory: Path) -> dict[str, str]:
    """Return the environment of the helper's service, with addresses where nothing listens."""
    for name in ("certificates", "state", "report"):
        (tmp_path / name).mkdir()
    return {
        "SERVER_NAME": "example.org",
        "HOMESERVER": "matrix.example.org",
        "BASE_URL": "https://matrix.example.org",
        "FEDERATION_ADDRESS": "matrix.example.org:443",
        "ADMIN": "alice",
        "ADMIN_PASSWORD_FILE": str(secrets_directory / "admin_password"),
        "REGISTRATION_SHARED_SECRET_FILE": str(secrets_directory / "registration_shared_secret"),
        "AUTHORITY_KEY_FILE": str(secrets_directory / "authority.key"),
        "AUTHORITY_CERTIFICATE_FILE": str(secrets_directory / "authority.pem"),
        "CERTIFICATE_ISSUER": "own-authority",
        "CERTIFICATE_NAMES": "matrix.example.org example.org 127.0.0.1",
        "CERTIFICATES_DIRECTORY": str(tmp_path / "certificates"),
        "CERTIFICATE_GROUP": "33",
        "CERTIFICATE_WARNING": "1/3",
        "CERTIFICATE_FAILURE": "7d",
        "ROOT_FILE": "public",
        "NOTIFICATION_FILE": "none",
        "HEARTBEAT_FILE": "none",
        "CLAIM_DIRECTORY": "none",
        "PUBLICATION": "none",
        "CLUSTER_ACCESS_DIRECTORY": "none",
        "STATE_DIRECTORY": str(tmp_path / "state"),
        "SYNAPSE_URL": "http://127.0.0.1:1",
        "APACHE_ADDRESS": "127.0.0.1:1",
        "VERIFY_KEY": "ed25519:a_TEST " + base64.b64encode(bytes(32)).decode().rstrip("="),
        "DATABASE_REPORT_FILE": str(tmp_path / "report" / "database.json"),
        "UPLOAD_LIMIT": "94371840",
        "OUTSIDE": "no",
        "IMAGE_PINS": f"synapse:v1={datetime.now(UTC).date()}",
        "RELEASE_LIST": "none",
        "BACKUP_AT": "none",
        "BACKUP_DRILL": "none",
        "BACKUP_REPORT_FILE": str(tmp_path / "report" / "backup" / "status.json"),
    }


@pytest.fixture
def acme_environ(environ: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """Return the environment of a helper whose certificate comes from Let's Encrypt."""
    (tmp_path / "dns_token").write_text(f"{TOKEN}\n")
    (tmp_path / "letsencrypt").mkdir()
    return {
        **environ,
        "CERTIFICATE_ISSUER": "letsencrypt",
        "CERTIFICATE_NAMES": "matrix.example.org",
        "ACME_EMAIL": "you@example.org",
        "ACME_PROFILE": "default",
        "CERTIFICATE_KEY_TYPE": "default",
        "LINEAGES_DIRECTORY": str(tmp_path / "letsencrypt"),
        "DNS_TOKEN_FILE": str(tmp_path / "dns_token"),
    }


@pytest.fixture(autouse=True)
def packages(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in for the database of Debian's packages, just brought up to date."""
    path = tmp_path_factory.mktemp("packages") / "status"
    path.touch()
    monkeypatch.setattr(image_ages, "PACKAGES", path)
    return path


@pytest.fixture
def settings(environ: dict[str, str]) -> ServiceSettings:
    """Read the settings of the service, with addresses where nothing listens."""
    return ServiceSettings.from_environ(environ)


@pytest.fixture
def bundle(environ: dict[str, str], secrets_directory: Path) -> Iterator[Bundle]:
    """Make a bundle whose homeserver answers, through TLS with the helper's own certificate."""
    signing_key = generate_signing_key("a_TEST")
    environ["VERIFY_KEY"] = "ed25519:a_TEST " + encode_verify_key_base64(
        get_verify_key(signing_key)
    )
    settings = ServiceSettings.from_environ(environ)
    keeper.ensure_own(settings.certificate, datetime.now(UTC), lambda _: None)
    with Homeserver(settings, signing_key) as homeserver:
        environ["SYNAPSE_URL"] = f"http://127.0.0.1:{homeserver.inner_port}"
        environ["APACHE_ADDRESS"] = f"127.0.0.1:{homeserver.outer_port}"
        yield Bundle(environ=environ, secrets=secrets_directory, homeserver=homeserver)


@dataclass(frozen=True, kw_only=True)
class PostgresServer:
    """A running PostgreSQL and its superuser's password."""

    container: str
    host: str
    port: int
    password: str

    def log(self) -> str:
        """Return everything the server has logged so far."""
        answer = _docker("logs", self.container)
        return answer.stdout + answer.stderr


@pytest.fixture(scope="session")
def postgres_address() -> Iterator[PostgresServer]:
    """Start PostgreSQL as the bundle does; it logs every change of roles and databases."""
    with run_postgres("postgres:17-trixie", secrets.token_hex(16)) as server:
        yield server


@contextlib.contextmanager
def run_postgres(image: str, password: str) -> Iterator[PostgresServer]:
    """Run an empty PostgreSQL."""
    container = _docker(
        *("run", "--detach", "--rm", "--publish", "127.0.0.1::5432"),
        *("--env", f"POSTGRES_PASSWORD={password}"),
        "--env=POSTGRES_INITDB_ARGS=--encoding=UTF8 --locale=C"
        " --auth-local=scram-sha-256 --auth-host=scram-sha-256",
        *(image, "-c", "log_statement=ddl", "-c", "fsync=off"),
    ).stdout.strip()
    try:
        port = int(_docker("port", container, "5432/tcp").stdout.split()[0].rpartition(":")[2])
        yield PostgresServer(container=container, host="127.0.0.1", port=port, password=password)
    finally:
        _docker("rm", "--force", "--volumes", container)


def _docker(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True)
