"""Two Compose models -> which images change, which are pulled, and which are built. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

# Compose's model of a bundle, as `docker compose config` prints it.
Model = Mapping[str, Any]
_SYNAPSE: Final = "synapse"
_NEVER: Final = "never"


@dataclass(frozen=True, kw_only=True)
class ImageNeeds:
    """The images of a bundle: those that a registry has, and for each that is built here a service.

    `loaded` are those that are neither: the operator's own, with `pull_policy: never`.
    """

    pulled: tuple[str, ...]
    built: Mapping[str, str]
    loaded: tuple[str, ...] = ()

    @property
    def references(self) -> tuple[str, ...]:
        """All of them."""
        return (*self.pulled, *self.built, *self.loaded)


def list_needs(model: Model) -> ImageNeeds:
    """Return which images the services of a model need."""
    built: dict[str, str] = {}
    for name, service in model["services"].items():
        if "build" in service:
            built.setdefault(_name_image(model, name), name)
    named = {_name_image(model, name): each for name, each in model["services"].items()}
    others = {image: each.get("pull_policy") for image, each in named.items() if image not in built}
    return ImageNeeds(
        pulled=tuple(image for image, policy in others.items() if policy != _NEVER),
        built=built,
        loaded=tuple(image for image, policy in others.items() if policy == _NEVER),
    )


def compare_running(model: Model, running: Mapping[str, str]) -> dict[str, str]:
    """Return the image that runs for each that a model names instead, where the two differ.

    `running` are the references of containers, by service. They differ when the bundle was written
    again and not started.
    """
    named = {name: _name_image(model, name) for name in running if name in model["services"]}
    return {named[name]: running[name] for name in named if named[name] != running[name]}


def replace_images(model: Model, replaced: Mapping[str, str]) -> Model:
    """Return a model with other images in the place of some."""
    services = {
        name: {**service, "image": replaced.get(image, image)}
        for name, service in model["services"].items()
        for image in [_name_image(model, name)]
    }
    return {**model, "services": services}


def list_synapse(model: Model) -> list[str]:
    """Return the services that are Synapse's processes: the main one, and those of its image."""
    image = model["services"][_SYNAPSE]["image"]
    return [name for name, each in model["services"].items() if each.get("image") == image]


def name_synapse_image(model: Model) -> str:
    """Return the image of Synapse."""
    return str(model["services"][_SYNAPSE]["image"])


def write_changes(before: Model, after: Model, *, offline: bool) -> Iterator[str]:
    """Yield a line for each image of `after`: what it was, and what happens to it."""
    needs = list_needs(after)
    for reference in needs.pulled:
        services = [n for n in after["services"] if _name_image(after, n) == reference]
        old = {_name_image(before, n) for n in services if n in before["services"]} - {reference}
        title = ", ".join(services[:1])
        if old:
            yield f"{title}: {', '.join(sorted(old))} -> {reference}"
        elif not any(name in before["services"] for name in services):
            yield f"{title}: {reference} (new)"
        else:
            yield f"{title}: {reference} ({'as it is here' if offline else 'pulled again'})"
    titles = dict.fromkeys(each.rpartition("/")[2].partition(":")[0] for each in needs.built)
    how = "as they are here" if offline else "built anew, with today's packages"
    if titles:
        yield f"{', '.join(titles)}: {how}"


def _name_image(model: Model, service: str) -> str:
    named = model["services"][service].get("image")
    # As Compose names what is only built.
    return str(named or f"{model['name']}-{service}")
