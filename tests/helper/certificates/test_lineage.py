"""Each authority has its own lineage, and a damaged one is set aside."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bundle_helper.certificates.lineage import Lineage, find_lineage
from bundle_helper.settings.issuers import Acme
from tests.helper.certificates.conftest import write_lineage


def make_acme(name: str) -> Acme:
    place = Path("/nowhere")
    return Acme(
        name=name,
        directory=name,
        email="",
        profile=None,
        key_type=None,
        lineages_directory=place,
        token_file=place,
    )


def test_each_authority_and_homeserver_has_its_own_lineage() -> None:
    """Trying another authority never touches the certificates of the first."""
    issuers = ("letsencrypt", "letsencrypt-staging", "https://ca.org/dir", "https://ca.org:1/dir")
    hosts = ("a.org", "b.org")
    names = {find_lineage(make_acme(n), host).name for n in issuers for host in hosts}
    assert len(names) == 8
    assert all("/" not in name and ":" not in name for name in names)


def test_a_whole_lineage_is_left_alone(lineage: Lineage) -> None:
    """What certbot can read stays where it is; nor does nothing have to move."""
    assert lineage.set_damaged_aside() is None
    configuration, live = write_lineage(lineage)
    assert lineage.set_damaged_aside() is None
    assert configuration.exists()
    assert live.exists()


@pytest.mark.parametrize(
    "how", ["empty", "missing", "damaged", "elsewhere", "no key", "no live", "torn"]
)
def test_a_damaged_lineage_is_set_aside(lineage: Lineage, how: str) -> None:
    """Certbot would save beside it, where it is never found; nothing of it is lost."""
    configuration, live = write_lineage(lineage)
    match how:
        case "empty":
            configuration.write_text("")
        case "missing":
            configuration.unlink()
        case "damaged":
            configuration.write_bytes(b"[half\n\xff")
        case "elsewhere":
            configuration.write_text(configuration.read_text().replace(live.name, "other"))
        case "no key":
            (live / "privkey.pem").unlink()
        case "no live":
            shutil.rmtree(live)
        case "torn":
            (live / "fullchain.pem").resolve().write_text("")
    aside = lineage.set_damaged_aside()
    assert aside is not None
    assert (aside / "archive" / live.name / "privkey1.pem").read_text() == "privkey"
    left = [path for path in lineage.directory.glob("*/*") if path.parent.name != "set-aside"]
    assert left == []
