"""What the helper publishes reaches a cluster's Secret, and nothing else is written there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from bundle_helper import status, storage
from bundle_helper.errors import InvalidEnvironmentError
from bundle_helper.service.publication_duty import keep_publication
from bundle_helper.settings.service_settings import ServiceSettings
from tests.helper.cluster.cluster_api import ClusterApi, serve_cluster


@pytest.fixture
def api(tmp_path: Path) -> Iterator[ClusterApi]:
    """The API of a cluster, and a pod's access to it."""
    access = tmp_path / "access"
    access.mkdir()
    with serve_cluster(access) as served:
        yield served


@pytest.fixture
def settings(environ: dict[str, str], api: ClusterApi, tmp_path: Path) -> ServiceSettings:
    """The settings of a helper in that pod, with a claim; its directories exist."""
    (tmp_path / "tunnel.json").write_text("{}\n")
    for name in ("certificates", "claim", "state"):
        (tmp_path / name).mkdir(exist_ok=True)
    return ServiceSettings.from_environ(
        environ
        | {
            "PUBLICATION": "home/published",
            "CLUSTER_ACCESS_DIRECTORY": str(tmp_path / "access"),
            "KUBERNETES_SERVICE_HOST": "127.0.0.1",
            "KUBERNETES_SERVICE_PORT": str(api.port),
            "CLAIM_DIRECTORY": str(tmp_path / "claim"),
            "TUNNEL_CREDENTIAL_FILE": str(tmp_path / "tunnel.json"),
            "RELEASED_CREDENTIAL_FILE": str(tmp_path / "claim/tunnel.json"),
            "STOOD_DOWN_FILE": str(tmp_path / "certificates/stood-down"),
            "INSTANCE_HASH_FILE": str(tmp_path / "certificates/instance"),
        }
    )


def read_problem(settings: ServiceSettings) -> str | None:
    """Return what the duty left for the status."""
    left = storage.read_json(settings.state_directory / f"{status.PUBLICATION}.json")
    problem: str | None = left["problem"]
    return problem


def test_every_published_file_is_there_and_goes_when_it_goes(
    settings: ServiceSettings, api: ClusterApi, tmp_path: Path
) -> None:
    """A renewal, a released credential and its withdrawal each change the keys they concern."""
    keep_publication(settings)
    assert (api.contents, read_problem(settings)) == ({}, None)
    (tmp_path / "certificates/live.pem").write_bytes(b"first")
    (tmp_path / "claim/tunnel.json").write_bytes(b"credential")
    (tmp_path / "certificates/instance").write_bytes(b"")
    keep_publication(settings)
    assert api.contents == {"live.pem": b"first", "tunnel.json": b"credential", "instance": b""}
    (tmp_path / "certificates/live.pem").write_bytes(b"second")
    (tmp_path / "certificates/previous.pem").write_bytes(b"first")
    (tmp_path / "claim/tunnel.json").unlink()
    (tmp_path / "certificates/stood-down").write_bytes(b"")
    keep_publication(settings)
    assert api.contents == {
        "live.pem": b"second",
        "previous.pem": b"first",
        "stood-down": b"",
        "instance": b"",
    }
    assert read_problem(settings) is None


def test_what_is_right_is_not_written_again(
    settings: ServiceSettings, api: ClusterApi, tmp_path: Path
) -> None:
    """A round without a change reads alone, and keys of others stay."""
    api.held["data"] = {"other": "eA=="}
    (tmp_path / "certificates/live.pem").write_bytes(b"first")
    for _ in range(3):
        keep_publication(settings)
    assert len(api.patches) == 1
    assert set(api.patches[0]["data"]) == {"live.pem"}
    assert api.contents["other"] == b"x"


def test_a_renewed_token_is_used(
    settings: ServiceSettings, api: ClusterApi, tmp_path: Path
) -> None:
    """The kubelet replaces the file; the next round reads it again."""
    api.token = "another-token"
    keep_publication(settings)
    assert "not valid" in str(read_problem(settings))
    (tmp_path / "access/token").write_text("another-token\n")
    keep_publication(settings)
    assert read_problem(settings) is None


def test_a_refusal_is_a_problem_of_the_status_without_any_secret(
    settings: ServiceSettings, api: ClusterApi, tmp_path: Path
) -> None:
    """It says what to do, and the next look is soon."""
    (tmp_path / "certificates/live.pem").write_bytes(b"private key")
    api.allowed = False
    keep_publication(settings)
    problem = str(read_problem(settings))
    assert "403" in problem
    assert "apply the manifests again" in problem
    assert "a-token" not in problem
    assert "private key" not in problem


def test_another_authority_gets_no_token(
    settings: ServiceSettings, api: ClusterApi, tmp_path: Path
) -> None:
    """Whoever is at the address of the API without its certificate learns nothing."""
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "access/ca.crt"))
    keep_publication(settings)
    assert "did not answer" in str(read_problem(settings))
    assert api.patches == []


def test_a_cluster_without_an_address_is_named(environ: dict[str, str], tmp_path: Path) -> None:
    """All that is wrong at once, as ever."""
    wrong = environ | {"PUBLICATION": "published", "CLUSTER_ACCESS_DIRECTORY": str(tmp_path)}
    with pytest.raises(InvalidEnvironmentError, match="is not a Secret"):
        ServiceSettings.from_environ(wrong)
    lacking = wrong | {"PUBLICATION": "home/published"}
    with pytest.raises(InvalidEnvironmentError, match="KUBERNETES_SERVICE_HOST is missing"):
        ServiceSettings.from_environ(lacking)
