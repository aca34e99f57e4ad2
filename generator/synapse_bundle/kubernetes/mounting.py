"""A pod's volumes, and where its containers mount them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Final

from .bundle_files import SECRETS, is_secret, name_keys, select
from .cluster_file import VolumeHints
from .compose_model import ComposeService, ConversionError, Mount
from .objects import Manifest, divide, name
from .storage import Bundle

# Readable by the group that the pod's volumes belong to, and by nobody else.
_SECRET_MODE: Final = 0o440
# A backup gives the files to whoever restores them.
_WHOLE_MODE: Final = 0o444
_LARGEST_FOLDER: Final = "64Mi"
WHOLE: Final = "bundle"
PARTS: Final = "bundle-parts"
WAIT: Final = "wait"


class PodVolumes:
    """Collects the volumes of one pod while its containers are made."""

    def __init__(self, bundle: Bundle, pod: str) -> None:
        self._bundle = bundle
        self._pod = pod
        self._volumes: dict[str, Manifest] = {}

    def to_list(self) -> list[Manifest]:
        """Return the volumes, sorted by name."""
        return [{"name": title, **self._volumes[title]} for title in sorted(self._volumes)]

    def mount(self, service: ComposeService) -> list[Manifest]:
        """Return the mounts of a service's container, sorted by target."""
        mounts, secrets = [], []
        for mount in self._bundle.mounts(service):
            if mount.kind == "bind" and mount.source.startswith(f"./{SECRETS}"):
                secrets.append(mount)
            else:
                mounts.append(self._mount_one(service, mount))
        if secrets:
            mounts.append(self._mount_secrets(service, secrets))
        mounts += self.mount_foreign(self._bundle.cluster.hint(service.name).foreign)
        return sorted(mounts, key=lambda each: str(each["mountPath"]))

    def add(self, title: str, volume: Manifest, target: str, *, read_only: bool) -> Manifest:
        """Add a volume and return its mount."""
        self._volumes[title] = volume
        mount: Manifest = {"name": title, "mountPath": target}
        return mount | ({"readOnly": True} if read_only else {})

    def mount_foreign(self, foreign: Mapping[str, str]) -> list[Manifest]:
        """Return the mounts of one file each of Secrets beside the service's own."""
        mounts = []
        for title, target in foreign.items():
            place = PurePosixPath(target)
            # Not all of it: beside a root may be its private key.
            items = [{"key": place.name, "path": place.name}]
            secret = {"secretName": title, "items": items, "defaultMode": _SECRET_MODE}
            mounts.append(self.add(title, {"secret": secret}, str(place.parent), read_only=True))
        return mounts

    def _mount_one(self, service: ComposeService, mount: Mount) -> Manifest:
        if mount.kind == "tmpfs":
            memory = {"medium": "Memory", "sizeLimit": _write_size(mount.size)}
            title = name(f"{service.name}{mount.target}")
            return self.add(title, {"emptyDir": memory}, mount.target, read_only=False)
        if mount.kind == "volume":
            volume = self._keep(mount.source)
            return self.add(mount.source, volume, mount.target, read_only=mount.read_only)
        if mount.source == ".":
            # A copy: in the parts every file is a link, which a backup would store as a link.
            self._volumes[PARTS] = self._project()
            copy = {"emptyDir": {"sizeLimit": _LARGEST_FOLDER}}
            return self.add(WHOLE, copy, mount.target, read_only=True)
        if not mount.source.startswith("./"):
            title = name_foreign(service, mount)
            foreign = {"secretName": title, "defaultMode": _SECRET_MODE}
            return self.add(title, {"secret": foreign}, mount.target, read_only=True)
        folder = mount.source.removeprefix("./")
        config = {"name": name(folder), "items": _list_items(select(self._bundle.files, folder))}
        return self.add(
            name(f"{folder}-files"), {"configMap": config}, mount.target, read_only=True
        )

    def _mount_secrets(self, service: ComposeService, mounts: list[Mount]) -> Manifest:
        parents = {str(PurePosixPath(mount.target).parent) for mount in mounts}
        if len(parents) > 1:
            raise ConversionError(f"the secrets of {service.name} are mounted in two places")
        secret = {"secretName": service.name, "defaultMode": _SECRET_MODE}
        title = f"{service.name}-secrets"
        return self.add(title, {"secret": secret}, parents.pop(), read_only=True)

    def _keep(self, volume: str) -> Manifest:
        hints = self._bundle.hint_volume(volume)
        if self._bundle.is_published(volume, self._pod):
            return {"secret": self._publish(hints)}
        if self._bundle.is_claim(volume, self._pod):
            return {"persistentVolumeClaim": {"claimName": volume}}
        return {"emptyDir": {"sizeLimit": hints.scratch}}

    def _publish(self, hints: VolumeHints) -> Manifest:
        # Optional: at first nothing is published, and some of it never.
        items = [{"key": key, "path": key} for key in hints.published]
        title = self._bundle.cluster.published
        return {"secretName": title, "items": items, "defaultMode": _SECRET_MODE, "optional": True}

    def _project(self) -> Manifest:
        """Return the whole folder, of which each part is in an object of its own."""
        sources = [
            {kind: {"name": title, "items": _list_items(part)}}
            for kind, title, part in divide_bundle(self._bundle)
        ]
        return {"projected": {"sources": sources, "defaultMode": _WHOLE_MODE}}


def name_foreign(service: ComposeService, mount: Mount) -> str:
    """Return the Secret that the operator has to make of a folder outside the bundle."""
    return name(f"{service.name}{mount.target}")


def divide_bundle(bundle: Bundle) -> list[tuple[str, str, dict[str, bytes]]]:
    """Return the parts of the whole folder: kind of source, name, contents by path."""
    hidden = {path: content for path, content in bundle.files.items() if is_secret(path)}
    shown = {path: content for path, content in bundle.files.items() if not is_secret(path)}
    parts = [("secret", WHOLE, hidden)]
    return parts + [
        ("configMap", f"{WHOLE}-{number}", part) for number, part in enumerate(divide(shown), 1)
    ]


def find_beginnings(bundle: Bundle, pod: str) -> list[tuple[str, VolumeHints]]:
    """Return the volumes of a pod that begin with something, with how."""
    sources = {
        m.source for s in bundle.members(pod) for m in bundle.mounts(s) if m.kind == "volume"
    }
    hints = [(volume, bundle.hint_volume(volume)) for volume in sorted(sources)]
    return [(volume, hint) for volume, hint in hints if hint.filled or hint.seed]


def _list_items(contents: dict[str, bytes]) -> list[Manifest]:
    return [{"key": key, "path": path} for path, key in sorted(name_keys(contents).items())]


def _write_size(size: int) -> str:
    """Return a number of bytes as Kubernetes writes it."""
    return f"{size // 1024**2}Mi" if size % 1024**2 == 0 else f"{max(1, size // 1024)}Ki"
