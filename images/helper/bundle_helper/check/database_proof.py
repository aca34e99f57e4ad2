"""What bootstrap proved of Synapse's role and database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from .. import storage
from ..errors import HelperError
from ..findings import Finding, failed, passed

if TYPE_CHECKING:
    from ..settings.service_settings import ServiceSettings

_RUN_AGAIN: Final = "`docker compose up -d`, then `docker compose logs bootstrap`"
_GRANTED: Final = ("superuser", "createdb", "createrole", "replication", "bypassrls")


def probe_proof(settings: ServiceSettings) -> Finding:
    """Read what bootstrap proved, with the password that only it may see."""
    try:
        content = storage.read_json(settings.database_report_file)
    except HelperError as error:
        return failed(error.message, cause="bootstrap has not finished", next_step=_RUN_AGAIN)
    if content.get("problem") or not isinstance(content.get("proof"), dict):
        return failed(
            f"not proved at {content.get('time')}",
            cause=str(content.get("problem")),
            next_step=_RUN_AGAIN,
        )
    return _judge_proof(content["proof"], str(content.get("time")))


def _judge_proof(proof: dict[str, Any], time: str) -> Finding:
    role, found = proof["privileges"], proof["properties"]
    detail = (
        f"{proof['role']} owns {proof['database']} ({found['encoding']}, {found['collation']}),"
        f" PostgreSQL {proof['server_version']}, proved {time}"
    )
    if proof.get("encryption"):
        detail += f", reached with sslmode {proof['encryption']}"
    if proof.get("members"):
        detail += f"; these roles may act as {proof['role']}: {', '.join(proof['members'])}"
    surplus = [name for name in _GRANTED if role[name]]
    surplus += [f"act as {name}" for name in proof.get("memberships", ())]
    wanted = {"encoding": "UTF8", "collation": "C", "ctype": "C", "owner": proof["role"]}
    wrong = [name for name, value in wanted.items() if found[name] != value]
    if surplus or wrong or not role["login"]:
        cause = f"the role may {', '.join(surplus) or 'not more'}; wrong: {', '.join(wrong)}"
        return failed(detail, cause=cause, next_step=_RUN_AGAIN)
    return passed(detail)
