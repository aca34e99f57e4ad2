"""A proof as JSON, in the field names of the Matrix Federation Tester's `GET /api/report`.

https://github.com/matrix-org/matrix-federation-tester, `ServerReport` in main.go, and `KeyChecks`
of gomatrixserverlib. Ours alone is `Info.TrustedBy`: which roots the certificate leads to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unpaddedbase64 import encode_base64

if TYPE_CHECKING:
    from .delegation import Delegation
    from .faults import Fault
    from .lookup import Host
    from .proof import FederationProof
    from .resolution import Destination
    from .server import ServerConnection, Version
    from .tls import PresentedCertificate


def build_report(proof: FederationProof) -> dict[str, Any]:
    """Return the report of a proof."""
    fault = proof.destination_fault if proof.destination is None else None
    return {
        **({"Error": fault.detail} if fault else {}),
        "WellKnownResult": _format_well_known(proof.delegation),
        "DNSResult": _format_dns(proof.destination),
        "ConnectionReports": {
            str(place): _format_connection(c) for place, c in proof.connections.items()
        },
        "ConnectionErrors": {
            str(place): _format_error(fault) for place, fault in proof.faults.items()
        },
        "Version": _format_version(proof.version),
        "FederationOK": proof.ok,
    }


def _format_well_known(found: Delegation) -> dict[str, Any]:
    result = found.fault.detail if found.fault else found.absent
    return {
        "m.server": found.m_server,
        **({"result": result} if result else {}),
        "CacheExpiresAt": found.expires_at,
    }


def _format_dns(destination: Destination | None) -> dict[str, Any]:
    srv = destination.srv if destination else None
    records = srv.records if srv else ()
    return {
        "SRVSkipped": destination is not None and srv is None,
        "SRVCName": srv.name if srv else "",
        "SRVRecords": [
            {
                "Target": record.target,
                "Port": record.port,
                "Priority": record.priority,
                "Weight": record.weight,
            }
            for record in records
        ],
        "SRVError": _format_error(srv.fault if srv else None),
        "Hosts": {
            name: _format_host(host)
            for name, host in (destination.hosts if destination else {}).items()
        },
        "Addrs": [str(place) for place in (destination.places if destination else ())],
    }


def _format_host(host: Host) -> dict[str, Any]:
    return {
        "CName": host.canonical,
        "Addrs": list(host.addresses),
        "Error": _format_error(host.fault),
    }


def _format_connection(connection: ServerConnection) -> dict[str, Any]:
    keys, fault = connection.keys, connection.certificate_fault
    public = {key_id: key.public for key_id, key in keys.ed25519.items() if key.public}
    return {
        "Certificates": [
            _format_certificate(certificate) for certificate in connection.certificates
        ],
        "Cipher": {"Version": connection.tls_version, "CipherSuite": connection.cipher},
        "Checks": _format_checks(connection),
        "Errors": [_format_error(fault)] if fault else [],
        "Ed25519VerifyKeys": None
        if keys.problems
        else {key_id: encode_base64(key) for key_id, key in public.items()},
        "Info": {"TrustedBy": connection.trusted_by},
        "Keys": connection.document,
    }


def _format_checks(connection: ServerConnection) -> dict[str, Any]:
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


def _format_certificate(certificate: PresentedCertificate) -> dict[str, Any]:
    return {
        "SubjectCommonName": certificate.subject,
        "IssuerCommonName": certificate.issuer,
        "SHA256Fingerprint": encode_base64(certificate.fingerprint),
        "DNSNames": list(certificate.names),
    }


def _format_version(version: Version) -> dict[str, str]:
    content = {
        "name": version.name,
        "version": version.version,
        "error": version.fault.detail if version.fault else "",
    }
    return {name: value for name, value in content.items() if value}


def _format_error(fault: Fault | None) -> dict[str, str] | None:
    return {"Message": fault.detail} if fault else None
