"""A proof as JSON, in the field names of the Matrix Federation Tester's `GET /api/report`.

https://github.com/matrix-org/matrix-federation-tester, `ServerReport` in main.go, and `KeyChecks`
of gomatrixserverlib. Ours alone is `Info.TrustedBy`: which roots believed the certificate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unpaddedbase64 import encode_base64

if TYPE_CHECKING:
    from .delegation import WellKnown
    from .faults import Fault
    from .lookup import Host
    from .proof import Proof
    from .resolution import Destination
    from .server import Connection, Version
    from .tls import Certificate


def build_report(proof: Proof) -> dict[str, Any]:
    """Return the report of a proof."""
    fault = proof.destination_fault if proof.destination is None else None
    return {
        **({"Error": fault.told} if fault else {}),
        "WellKnownResult": _wellknown(proof.wellknown),
        "DNSResult": _dns(proof.destination),
        "ConnectionReports": {str(place): _connection(c) for place, c in proof.connections.items()},
        "ConnectionErrors": {str(place): _error(fault) for place, fault in proof.faults.items()},
        "Version": _version(proof.version),
        "FederationOK": proof.ok,
    }


def _wellknown(found: WellKnown) -> dict[str, Any]:
    result = found.fault.told if found.fault else found.absent
    return {
        "m.server": found.told,
        **({"result": result} if result else {}),
        "CacheExpiresAt": found.expires_at,
    }


def _dns(destination: Destination | None) -> dict[str, Any]:
    service = destination.service if destination else None
    records = service.records if service else ()
    return {
        "SRVSkipped": destination is not None and service is None,
        "SRVCName": service.name if service else "",
        "SRVRecords": [
            {
                "Target": record.target,
                "Port": record.port,
                "Priority": record.priority,
                "Weight": record.weight,
            }
            for record in records
        ],
        "SRVError": _error(service.fault if service else None),
        "Hosts": {
            name: _host(host) for name, host in (destination.hosts if destination else {}).items()
        },
        "Addrs": [str(place) for place in (destination.places if destination else ())],
    }


def _host(host: Host) -> dict[str, Any]:
    return {
        "CName": host.canonical,
        "Addrs": list(host.addresses),
        "Error": _error(host.fault),
    }


def _connection(connection: Connection) -> dict[str, Any]:
    keys, fault = connection.keys, connection.certificate_fault
    public = {key_id: key.public for key_id, key in keys.ed25519.items() if key.public}
    return {
        "Certificates": [_certificate(certificate) for certificate in connection.certificates],
        "Cipher": {"Version": connection.tls_version, "CipherSuite": connection.cipher},
        "Checks": _checks(connection),
        "Errors": [_error(fault)] if fault else [],
        "Ed25519VerifyKeys": None
        if keys.problems
        else {key_id: encode_base64(key) for key_id, key in public.items()},
        "Info": {"TrustedBy": connection.trusted_by},
        "Keys": connection.document,
    }


def _checks(connection: Connection) -> dict[str, Any]:
    keys = connection.keys
    return {
        "AllChecksOK": connection.ok,
        "MatchingServerName": keys.server_name == keys.asked,
        "FutureValidUntilTS": keys.is_current,
        "HasEd25519Key": bool(keys.ed25519),
        # Nothing to check is neither good nor bad.
        "AllEd25519ChecksOK": all(key.has_signed for key in keys.ed25519.values())
        if keys.ed25519
        else None,
        "Ed25519Checks": {
            key_id: {"ValidEd25519": key.public is not None, "MatchingSignature": key.has_signed}
            for key_id, key in keys.ed25519.items()
        },
        "ValidCertificates": connection.certificate_fault is None,
    }


def _certificate(certificate: Certificate) -> dict[str, Any]:
    return {
        "SubjectCommonName": certificate.subject,
        "IssuerCommonName": certificate.issuer,
        "SHA256Fingerprint": encode_base64(certificate.fingerprint),
        "DNSNames": list(certificate.names),
    }


def _version(version: Version) -> dict[str, str]:
    told = {
        "name": version.name,
        "version": version.version,
        "error": version.fault.told if version.fault else "",
    }
    return {name: value for name, value in told.items() if value}


def _error(fault: Fault | None) -> dict[str, str] | None:
    return {"Message": fault.told} if fault else None
