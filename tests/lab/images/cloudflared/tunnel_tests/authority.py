"""A certificate authority for an origin on loopback."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trustme

HOST: Final = "matrix.example.org"


@dataclass(frozen=True, kw_only=True)
class Authority:
    """A certificate authority on disk and a context that serves as HOST."""

    certificate: Path
    context: ssl.SSLContext


def make_authority(folder: Path) -> Authority:
    """Return an authority that certified an origin for HOST and for nothing else."""
    root, certificate = trustme.CA(), folder / "root.pem"
    root.cert_pem.write_to_path(certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    root.issue_cert(HOST).configure_cert(context)
    return Authority(certificate=certificate, context=context)
