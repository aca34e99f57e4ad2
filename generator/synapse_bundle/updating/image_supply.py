"""The images of an update: pulled and built anew, or found on this machine."""

from __future__ import annotations

from .. import images
from ..errors import BundleError, SettingsError
from .image_changes import list_needs
from .update import Update


def require_images(update: Update) -> None:
    image_references = list_needs(update.engine.read_present()).references
    found = update.engine.find_images(image_references)
    if missing := [each for each in image_references if each not in found]:
        raise SettingsError(
            "These images are not on this machine; load them (synapse-bundle unpack, docker load),"
            " or update without --offline:",
            missing,
        )


def pull(update: Update) -> None:
    needs = list_needs(update.engine.read_present())
    base = [images.read_pins()["debian"].reference] if needs.built else []
    for reference in (*needs.pulled, *base):
        complaint = update.engine.pull(reference)
        if complaint:
            _accept_present(update, reference, complaint)
    _note_images(update)


def _accept_present(update: Update, reference: str, complaint: str) -> None:
    """Ask whether an image that cannot be pulled is taken as it is here; BundleError unless it is."""
    update.report(f"{reference} cannot be pulled: {complaint}")
    if not update.engine.find_images([reference]):
        raise BundleError(f"{reference} cannot be pulled, and is not on this machine.")
    if not update.ask(f"{reference} is on this machine. Go on with it as it is?"):
        raise BundleError(
            f"{reference} cannot be pulled. To take every image as it is on this machine: --offline"
        )


def build(update: Update) -> None:
    needs = list_needs(update.engine.read_present())
    if needs.built:
        update.engine.build(needs.built.values())
    _note_images(update)


def _note_images(update: Update) -> None:
    """Note the ids of images that have come, so that they can go."""
    references = list_needs(update.engine.read_present()).references
    found = set(update.engine.find_images(references).values())
    known = {*update.journal.pulled, *update.journal.images.values()}
    update.note(pulled=(*update.journal.pulled, *sorted(found - known)))
