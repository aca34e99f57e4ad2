"""Every text a user may write reaches YAML's, Apache's and Compose's parsers as it was meant."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synapse_bundle import planning
from synapse_bundle.errors import SettingsError
from synapse_bundle.settings import loading
from synapse_bundle.settings.model import Settings
from tests.bundles import fake_credentials, plan_settings, plan_shape, read_compose
from tests.settings import SHAPES

LABEL = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
HOST = st.lists(LABEL, min_size=1, max_size=3).map(lambda labels: ".".join([*labels, "example"]))
TROUBLE = st.text(alphabet="$'\"\\#%{}<>]&=:;,!`@*|?~^ \t\n\r\0é/.-_ab1")
ANY_TEXT = st.one_of(st.text(), TROUBLE)
MEDIUM = settings(max_examples=100, suppress_health_check=list(HealthCheck))
FEW = settings(max_examples=15, suppress_health_check=list(HealthCheck))

VALID = st.fixed_dictionaries(
    {
        "server_name": HOST,
        "homeserver": HOST,
        "email": st.from_regex(r"[!-?A-~]{1,20}@[a-z]{2,9}\.org", fullmatch=True),
        "certificates": st.from_regex(r"https://[a-z]{1,9}\.org/[!-~]{0,30}", fullmatch=True),
        "admin": st.from_regex(r"[a-z.=/+-][a-z0-9._=/+-]{0,20}", fullmatch=True),
        "project": st.from_regex(r"[a-z0-9][a-z0-9_-]{0,20}", fullmatch=True),
        "support": st.fixed_dictionaries(
            {"page": st.from_regex(r"https?://[!-~]{1,30}", fullmatch=True)},
            optional={
                "email_address": st.from_regex(r"[!-?A-~]{1,20}@[a-z]{2,9}\.org", fullmatch=True)
            },
        ),
    }
)


@MEDIUM
@given(values=st.fixed_dictionaries({}, optional=dict.fromkeys(Settings.model_fields, ANY_TEXT)))
def test_any_text_is_either_refused_or_kept(values: dict[str, str]) -> None:
    """No text crashes the loader; what it accepts it has not changed."""
    text = "\n".join(f"{key}: {json.dumps(value)}" for key, value in values.items()) + "\n"
    try:
        loaded = loading.parse(text, "settings.yaml")
    except SettingsError:
        return
    for key in ("server_name", "homeserver", "email", "admin", "project"):
        assert key not in values or getattr(loaded, key) == values[key]


@MEDIUM
@given(text=ANY_TEXT)
def test_no_file_crashes_the_loader(text: str) -> None:
    """A file of any content gives settings or a message, nothing else."""
    with contextlib.suppress(SettingsError):
        loading.parse(text, "settings.yaml")


@MEDIUM
@given(values=VALID)
def test_valid_text_survives_every_template(values: dict[str, Any]) -> None:
    """What the settings say is what Synapse, browsers and other servers read."""
    plan = plan_settings(Settings.model_validate(values))
    files = {str(file.path): file.content.decode() for file in plan.files}
    homeserver = yaml.safe_load(files["synapse/homeserver.yaml"])
    assert homeserver["server_name"] == values["server_name"]
    assert homeserver["public_baseurl"] == f"https://{values['homeserver']}/"
    client = json.loads(files["apache/well-known/client.json"])
    assert client == {"m.homeserver": {"base_url": f"https://{values['homeserver']}"}}
    support = json.loads(files["apache/well-known/support.json"])
    assert support["support_page"] == values["support"]["page"]
    if "email_address" in values["support"]:
        assert support["contacts"][0]["email_address"] == values["support"]["email_address"]
    helper = read_compose(plan)["services"]["helper"]["environment"]
    assert helper["ADMIN"] == values["admin"]
    assert helper["SERVER_NAME"] == values["server_name"]
    assert helper["ACME_EMAIL"] == values["email"]
    assert helper["CERTIFICATE_ISSUER"] == values["certificates"]


@pytest.mark.parametrize(
    "password",
    ["p'w:\\x%40 é$ü", '"quoted" # no comment', "{{ braces }}", "- yes\u2028: no", "${HOME}"],
)
def test_a_secret_of_the_operators_own_survives_its_template(password: str) -> None:
    """A password that the operator chose arrives in Synapse's configuration unchanged."""
    values = {**fake_credentials(Settings()).values, "synapse_database_password": password}
    credentials = type(fake_credentials(Settings()))(values=values)
    files = {str(f.path): f.content for f in planning.plan(Settings(), credentials, {}).files}
    loaded = yaml.safe_load(files["secrets/synapse.yaml"])
    assert loaded["database"]["args"]["password"] == password


def ask_compose(directory: Path) -> dict[str, Any]:
    """Return the model as Compose understands it; it must not even warn."""
    done = subprocess.run(
        ["docker", "compose", "--project-directory", str(directory), "--file",
         str(directory / "compose.yaml"), "--profile", "*", "config", "--format", "json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    model: dict[str, Any] = json.loads(done.stdout)
    return model


@pytest.mark.engine
@pytest.mark.parametrize("shape", SHAPES, ids=lambda path: path.stem)
def test_compose_accepts_every_shape(shape: Path, tmp_path: Path) -> None:
    """The Compose that runs here, the floor in the lab, knows every key and warns of nothing."""
    plan = plan_shape(shape)
    (tmp_path / "compose.yaml").write_bytes(plan.files[-1].content)
    model = ask_compose(tmp_path)
    assert set(model["services"]) == set(read_compose(plan)["services"])


@pytest.mark.engine
@FEW
@given(values=VALID)
def test_compose_reads_what_was_meant(values: dict[str, Any], tmp_path_factory: Any) -> None:
    """Environment and project arrive in Compose's own model unchanged."""
    directory = tmp_path_factory.mktemp("compose")
    plan = plan_settings(Settings.model_validate(values))
    (directory / "compose.yaml").write_bytes(plan.files[-1].content)
    model = ask_compose(directory)
    assert model["name"] == values["project"]
    # What Compose prints is fit to be read by Compose again.
    variables = {
        k: v.replace("$$", "$") for k, v in model["services"]["helper"]["environment"].items()
    }
    assert variables["ADMIN"] == values["admin"]
    assert variables["HOMESERVER"] == values["homeserver"]
    assert variables["ACME_EMAIL"] == values["email"]
    assert variables["CERTIFICATE_ISSUER"] == values["certificates"]


@pytest.fixture(scope="module")
def apache(repository: Path) -> Iterator[str]:
    """A container of Apache's image that waits to be asked for its opinion."""
    tag = planning.tag_image("apache", list(planning.plan_images()))
    subprocess.run(["docker", "build", "--quiet", "--tag", tag, str(repository / "images/apache")],
                   check=True, capture_output=True)  # fmt: skip
    started = subprocess.run(
        ["docker", "run", "--detach", "--rm", "--tmpfs", "/etc/homeserver:uid=33,mode=0755",
         "--tmpfs", "/run/apache2:uid=33", "--entrypoint", "sleep", tag, "900"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    container = started.stdout.strip()
    make = ("mkdir /etc/homeserver/htdocs && openssl req -x509 -newkey ec -pkeyopt "
            "ec_paramgen_curve:P-256 -nodes -subj /CN=x -keyout /run/apache2/k -out /run/apache2/c "
            "&& cat /run/apache2/c /run/apache2/k > /run/apache2/certificate.pem")  # fmt: skip
    subprocess.run(
        ["docker", "exec", container, "bash", "-c", make], check=True, capture_output=True
    )
    yield container
    subprocess.run(["docker", "kill", container], check=False, capture_output=True)


@pytest.mark.engine
@FEW
@given(values=VALID, tunnel=st.booleans())
def test_apache_accepts_every_configuration(
    values: dict[str, Any], tunnel: bool, apache: str
) -> None:
    """Apache's own parser takes the configuration of any valid settings."""
    extra = {"tunnel": {"credentials": "tunnel.json"}} if tunnel else {}
    plan = plan_settings(Settings.model_validate(values | extra))
    configuration = next(f.content for f in plan.files if str(f.path) == "apache/httpd.conf")
    test = "cat > /etc/homeserver/httpd.conf && apache2 -t -f /etc/homeserver/httpd.conf"
    done = subprocess.run(
        ["docker", "exec", "--interactive", apache, "bash", "-c", test],
        input=configuration, capture_output=True, check=False,
    )  # fmt: skip
    assert b"Syntax OK" in done.stderr, done.stderr
