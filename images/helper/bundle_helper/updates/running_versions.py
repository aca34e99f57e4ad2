"""Which versions run here, by the names that the list of releases has for their parts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from .. import storage, synapse
from ..check import image_ages
from ..concurrency import run_all
from ..errors import HelperError
from ..exchange import Request, ask

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..settings.service_settings import ServiceSettings

_VERSION: Final = "/_matrix/federation/v1/version"
_CLOUDFLARED: Final = "cloudflare/cloudflared"
_DEBIAN: Final = "debian"
_HELPER, _APACHE = "Debian in the helper's image", "Debian in Apache's image"
_PATIENCE: Final = 15.0


@dataclass(frozen=True, kw_only=True)
class RunningPart:
    """A part as it runs here: `title` is for people, `name` is the list's.

    `version` is None where it is not known now, as that of a service that is starting.
    """

    title: str
    name: str
    version: str | None


def find_running(settings: ServiceSettings) -> tuple[RunningPart, ...]:
    """Return every part of this bundle that a list can speak of; never raises."""
    readers: dict[str, Callable[[ServiceSettings], RunningPart]] = {
        "Synapse": _ask_synapse,
        "PostgreSQL": _read_postgresql,
        _HELPER: _read_helper,
        _APACHE: _read_apache,
    }
    if any(pin.reference.startswith(f"{_CLOUDFLARED}:") for pin in settings.image_pins):
        readers["cloudflared"] = _read_cloudflared
    found = run_all([partial(read, settings) for read in readers.values()], _PATIENCE)
    return tuple(
        part if isinstance(part, RunningPart) else RunningPart(title=title, name="", version=None)
        for title, part in zip(readers, found, strict=True)
    )


def _ask_synapse(settings: ServiceSettings) -> RunningPart:
    server = ask(synapse.endpoint(settings), Request(target=_VERSION)).json()["server"]
    return RunningPart(title="Synapse", name="synapse", version=str(server["version"]))


def _read_postgresql(settings: ServiceSettings) -> RunningPart:
    """Read what bootstrap found at the last `up`: no other container may ask the database."""
    proof: dict[str, Any] = storage.read_json(settings.database_report_file)["proof"]
    version = str(proof["server_version"]).partition(" ")[0]
    name = f"postgresql-{version.partition('.')[0]}"
    return RunningPart(title="PostgreSQL", name=name, version=version)


def _read_cloudflared(settings: ServiceSettings) -> RunningPart:
    """Read the tag of the image: its version is served inside its own container alone."""
    tags = dict(pin.reference.rsplit(":", 1) for pin in settings.image_pins)
    return RunningPart(title="cloudflared", name="cloudflared", version=tags[_CLOUDFLARED])


def _read_helper(_: ServiceSettings) -> RunningPart:
    day = image_ages.read_helper().date().isoformat()
    return RunningPart(title=_HELPER, name=_DEBIAN, version=day)


def _read_apache(settings: ServiceSettings) -> RunningPart:
    moment = image_ages.read_apache(settings)
    if moment is None:
        raise HelperError("the image of Apache does not say when its packages were updated")
    return RunningPart(title=_APACHE, name=_DEBIAN, version=moment.date().isoformat())
