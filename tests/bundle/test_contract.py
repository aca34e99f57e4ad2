"""What compose.yaml gives the helper is exactly what the helper reads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from bundle_helper.database import instance
from bundle_helper.errors import InvalidEnvironmentError
from bundle_helper.settings.bootstrap_settings import BootstrapSettings
from bundle_helper.settings.service_settings import ServiceSettings
from bundle_helper.updates.release_list import LARGEST
from synapse_bundle import planning
from synapse_bundle.credentials import collection, provided
from synapse_bundle.settings import certificates, loading
from synapse_bundle.settings.model import UNITS, Settings
from tests.bundles import read_compose
from tests.settings import DIRECTORY, SHAPES


class Watched(dict[str, str]):
    """An environment that remembers what was read from it."""

    def __init__(self, values: dict[str, str]) -> None:
        super().__init__(values)
        self.seen: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        """Return a variable and note its name."""
        self.seen.add(key)
        return super().get(key, default)

    def __getitem__(self, key: str) -> str:
        """Return a variable and note its name."""
        self.seen.add(key)
        return super().__getitem__(key)

    def __iter__(self) -> Iterator[str]:
        """Refuse to be read as a whole: it would hide what is used."""
        raise AssertionError("the environment is read name by name")


@pytest.mark.parametrize("shape", SHAPES, ids=lambda path: path.stem)
@pytest.mark.parametrize(
    ("service", "reader"), [("bootstrap", BootstrapSettings), ("helper", ServiceSettings)]
)
def test_environment_is_complete_and_wholly_used(
    tmp_path: Path, shape: Path, service: str, reader: Any
) -> None:
    """No variable is missing, none is wrong, and none is passed for nothing."""
    chosen = loading.load(shape)
    secrets = collection.collect(tmp_path, chosen, DIRECTORY)
    model = read_compose(planning.plan(chosen, secrets, {}))
    for name, value in secrets.values.items():
        (tmp_path / name).write_text(f"{value}\n")
    environment = Watched(
        {
            name: value.replace("/run/secrets/", f"{tmp_path}/")
            for name, value in model["services"][service]["environment"].items()
        }
    )
    reader.from_environ(environment)
    assert environment.seen == set(environment.keys())


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What compose.yaml gives the helper where every kind of value is in use."""
    directory = tmp_path_factory.mktemp("secrets")
    chosen = loading.load(DIRECTORY / "acme.yaml")
    secrets = collection.collect(directory, chosen, DIRECTORY)
    for name, value in secrets.values.items():
        (directory / name).write_text(f"{value}\n")
    variables = read_compose(planning.plan(chosen, secrets, {}))["services"]["helper"][
        "environment"
    ]
    return {
        name: value.replace("/run/secrets/", f"{directory}/") for name, value in variables.items()
    }


def generator_accepts(values: dict[str, Any]) -> bool:
    """Tell whether the settings of a real domain may hold these values."""
    required = {"server_name": "example.org", "email": "you@example.org"}
    try:
        Settings.model_validate(required | values)
    except ValidationError:
        return False
    return True


def helper_accepts(environment: dict[str, str], **values: str) -> bool:
    """Tell whether the helper starts with these values in its environment."""
    try:
        ServiceSettings.from_environ(environment | values)
    except InvalidEnvironmentError:
        return False
    return True


ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
SOME = settings(max_examples=200, suppress_health_check=list(HealthCheck))
NAMES = st.from_regex(r"[A-Z_a-z0-9.=/+-]{1,16}", fullmatch=True) | ANY_TEXT
LIMITS = st.from_regex(r"[0-9]{1,4}[dhw]?|[0-9]/[0-9]{1,2}", fullmatch=True) | ANY_TEXT
ISSUERS = st.from_regex(r"https?://[A-Za-z0-9.-]{0,9}(:[0-9]{1,6})?(/[ -~é]*)?", fullmatch=True)
LABELS = st.text("a0-_A", min_size=1, max_size=70)
HOSTS = st.lists(LABELS, min_size=1, max_size=5).map(".".join) | ANY_TEXT


@pytest.mark.parametrize(
    ("admin", "server_name", "good"),
    [
        ("a" * 200, "example.org", True),
        ("a" * 201, "example.org", True),
        ("a" * 242, "example.org", True),
        ("a" * 243, "example.org", False),
        ("a" * 40, f"{'b' * 60}.{'c' * 60}.{'d' * 60}.example", True),
        ("a" * 64, f"{'b' * 60}.{'c' * 60}.{'d' * 60}.example", False),
        ("_a", "example.org", False),
        ("12345", "example.org", False),
        ("1e5", "example.org", True),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 12 else "",
)
def test_both_packages_take_the_same_user_ids(
    admin: str, server_name: str, good: bool, environment: dict[str, str]
) -> None:
    """What Synapse would refuse is refused before it: 255 characters in all, no number."""
    assert generator_accepts({"admin": admin, "server_name": server_name}) == good
    assert helper_accepts(environment, ADMIN=admin, SERVER_NAME=server_name) == good


@SOME
@given(name=NAMES)
def test_both_packages_take_the_same_user_names(name: str, environment: dict[str, str]) -> None:
    """A user name is good for both or for neither."""
    taken = helper_accepts(environment, ADMIN=name)
    # The probe's own name is the generator's to keep free.
    assert generator_accepts({"admin": name}) == taken or name == "synapse-bundle-check"


@SOME
@given(text=LIMITS)
def test_both_packages_take_the_same_limits(text: str, environment: dict[str, str]) -> None:
    """A part of a certificate's life is one for both or for neither."""
    for key, variable in (("warn", "CERTIFICATE_WARNING"), ("fail", "CERTIFICATE_FAILURE")):
        accepted = generator_accepts({"certificates": {key: text}})
        assert accepted == helper_accepts(environment, **{variable: text})


@SOME
@given(text=ISSUERS | ANY_TEXT)
def test_both_packages_take_the_same_issuers(text: str, environment: dict[str, str]) -> None:
    """The address of an ACME directory is one for both or for neither."""
    accepted = generator_accepts({"certificates": text})
    assert accepted == helper_accepts(environment, CERTIFICATE_ISSUER=text)


@pytest.mark.parametrize("word", [*certificates.WORDS, "LetsEncrypt", "own", "zerossl"])
def test_both_packages_know_the_same_issuers(word: str, environment: dict[str, str]) -> None:
    """A word for an issuer is one for both or for neither."""
    files = {"certificate": "/a/certificate.pem", "key": "/a/key.pem"}
    chosen = {"issuer": word} | (files if word == certificates.FILES else {})
    mounted = {"CERTIFICATE_FILE": "/files/certificate", "CERTIFICATE_KEY_FILE": "/files/key"}
    assert generator_accepts({"certificates": chosen}) == (word in certificates.WORDS)
    accepted = helper_accepts(environment, CERTIFICATE_ISSUER=word, **mounted)
    assert accepted == (word in certificates.WORDS)


@pytest.mark.parametrize("word", ["ecdsa", "rsa", "RSA", "ed25519"])
def test_both_packages_take_the_same_kinds_of_key(word: str, environment: dict[str, str]) -> None:
    """A kind of key is one for both or for neither."""
    accepted = generator_accepts({"certificates": {"key_type": word}})
    assert accepted == helper_accepts(environment, CERTIFICATE_KEY_TYPE=word)


@pytest.mark.parametrize(
    ("text", "good"),
    [
        *((text, True) for text in ("7d", "999h", "1/2", "1/9")),
        *((text, False) for text in ("0d", "1000d", "7w", "2/3", "1/1", "1/10", "7", "07d")),
    ],
)
def test_both_packages_know_the_same_limits(
    text: str, good: bool, environment: dict[str, str]
) -> None:
    """Days, hours and shares of a certificate's life have the same edges."""
    assert generator_accepts({"certificates": {"warn": text}}) == good
    assert helper_accepts(environment, CERTIFICATE_WARNING=text) == good


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("example.org", True),
        ("a.b-c.example", True),
        ("xn--bcher-kva.example", True),
        (f"{'a' * 63}.example", True),
        (f"{'a' * 64}.example", False),
        (f"{'.'.join(['a' * 63] * 3)}.{'b' * 30}.example", True),
        (f"{'.'.join(['a' * 63] * 4)}.example", False),
        ("-a.example", False),
        ("a-.example", False),
        ("a_b.example", False),
        ("a..example", False),
        ("example.org.", False),
        ("Example.org", False),
        ("exa mple.org", False),
        ("bücher.example", False),
        ("example.org:443", False),
        ("https://example.org", False),
        ("", False),
    ],
    ids=lambda value: value[:24] if isinstance(value, str) else "",
)
def test_both_packages_take_the_same_host_names(
    name: str, good: bool, environment: dict[str, str]
) -> None:
    """What a label may be, and how long; the generator asks for a dot and no address besides."""
    assert generator_accepts({"server_name": name, "homeserver": name}) == good
    variables = {"SERVER_NAME": name, "HOMESERVER": name, "CERTIFICATE_NAMES": name}
    assert helper_accepts(environment, **variables) == good


@SOME
@given(name=HOSTS)
def test_the_helper_takes_every_domain_of_the_generator(
    name: str, environment: dict[str, str]
) -> None:
    """A domain that the settings may hold never keeps the helper from starting."""
    if generator_accepts({"server_name": name, "homeserver": name}):
        variables = {"SERVER_NAME": name, "HOMESERVER": name, "CERTIFICATE_NAMES": name}
        assert helper_accepts(environment, **variables, BASE_URL=f"https://{name}")


@pytest.mark.parametrize(
    ("size", "good"), [("1M", True), ("2047M", True), ("2048M", False), ("2G", False)]
)
def test_both_packages_take_the_same_sizes(
    size: str, good: bool, environment: dict[str, str]
) -> None:
    """An upload that Synapse's database cannot count is refused by both."""
    number = int(size[:-1]) * UNITS[size[-1]]
    assert generator_accepts({"max_upload_size": size}) == good
    assert helper_accepts(environment, UPLOAD_LIMIT=str(number)) == good


def test_no_role_has_the_name_of_the_helpers_schema() -> None:
    """PostgreSQL looks for a schema of the role's name first: Synapse would make its tables in that one."""
    database = {"host": "10.0.0.5", "password": "file", "sslmode": "disable"}
    for name, good in ((instance._INSIDE, False), ("synapse_user", True)):
        assert generator_accepts({"database": database | {"user": name}}) == good


LISTS = st.from_regex(
    r"https?://[A-Za-z0-9.-]{0,9}(:[0-9]{1,6})?(/[!-~]{0,12})?", fullmatch=True
) | st.text("htps:/@?#a.-_ é0", min_size=1).map("https://".__add__)


@SOME
@given(address=LISTS)
def test_the_helper_takes_every_address_of_a_list(
    address: str, environment: dict[str, str]
) -> None:
    """What the settings allow never ends the helper; what could tell servers apart, neither takes."""
    given_too = {"RELEASE_KEYS_FILE": "pinned", "RELEASES_DIRECTORY": "/releases"}
    accepted = generator_accepts({"updates": {"list": address}})
    assert not accepted or helper_accepts(environment, RELEASE_LIST=address, **given_too)
    if "?" in address or "#" in address or "@" in address.partition("//")[2].partition("/")[0]:
        assert not accepted
        assert not helper_accepts(environment, RELEASE_LIST=address, **given_too)


def test_both_packages_know_the_same_largest_list() -> None:
    """A file that `generate` takes is not too large for the helper."""
    assert provided.LARGEST_LIST == LARGEST
    head = f"{'A' * 86}==\n{{"
    assert not provided.check_release_list(head + " " * (LARGEST - len(head) - 1))
    assert "has more than" in provided.check_release_list(head + " " * (LARGEST - len(head)))
