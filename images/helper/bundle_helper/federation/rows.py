"""A proof as rows for people: what was found, and for each fault its cause and the next step."""

from __future__ import annotations

import math
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from ..findings import Finding, Row, failed, passed
from .faults import blame
from .names import shown
from .network import PUBLIC

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .keys import Keys
    from .proof import FederationProof
    from .server import ServerConnection, Version

_RENEW_KEYS: Final = (
    "check the clock (`date -u`), the server_name and the signing key of that server;"
    " a name that has federated keeps its key forever"
)


def build_rows(proof: FederationProof) -> tuple[Row, ...]:
    """Return the rows, in the order in which another server goes."""
    return tuple(Row(name=name, **asdict(finding)) for name, finding in _find_rows(proof))


def _find_rows(proof: FederationProof) -> Iterable[tuple[str, Finding]]:
    yield "well-known server", _judge_delegation(proof)
    if proof.destination is None:
        if proof.destination_fault and proof.destination_fault != proof.delegation.fault:
            yield "addresses", blame(proof.destination_fault)
        return
    yield "addresses", _judge_addresses(proof)
    for place, connection in proof.connections.items():
        yield f"{place} certificate", _judge_certificate(proof, connection)
        yield f"{place} keys", _judge_keys(connection.keys)
    for place, fault in proof.faults.items():
        excused = fault.no_way and proof.connections
        yield str(place), passed(f"left out: {fault.detail}") if excused else blame(fault)
    yield "version", _judge_version(proof.version)


def _judge_delegation(proof: FederationProof) -> Finding:
    found = proof.delegation
    if found.delegate:
        minutes = math.ceil((found.expires_at - time.time()) / 60)
        kept = f", kept by others for {minutes} min" if minutes > 0 else ""
        return passed(f"leads to {found.delegate}{kept}")
    if found.fault is None:
        return passed(f"{found.absent}; {proof.name} itself is asked")
    if proof.ok:
        return passed(f"{found.fault.detail}; passed over, because {proof.name} itself answers")
    return blame(found.fault)


def _judge_addresses(proof: FederationProof) -> Finding:
    if proof.destination_fault:
        return blame(proof.destination_fault)
    places = proof.destination.places if proof.destination else ()
    return passed(", ".join(map(str, places)))


def _judge_certificate(proof: FederationProof, connection: ServerConnection) -> Finding:
    if connection.certificate_fault:
        return blame(connection.certificate_fault)
    name = proof.destination.host.host if proof.destination else ""
    issuer = shown(connection.certificates[0].issuer) if connection.certificates else ""
    detail = f"{name}, issued by {issuer or 'an unnamed authority'}, {connection.tls_version}"
    if connection.trusted_by == PUBLIC:
        return passed(detail)
    return passed(f"{detail}; private: trusted only with {connection.trusted_by}, as was done here")


def _judge_keys(keys: Keys) -> Finding:
    if keys.problems:
        return failed(
            "; ".join(keys.problems),
            cause="other servers refuse keys like these, and every message that they sign",
            next_step=_RENEW_KEYS,
        )
    return passed(f"{', '.join(map(shown, keys.ed25519))}, self-signature verified")


def _judge_version(version: Version) -> Finding:
    if version.fault:
        return blame(version.fault)
    return passed(f"{shown(version.name)} {shown(version.version)}")
