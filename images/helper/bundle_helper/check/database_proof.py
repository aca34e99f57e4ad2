"""PostgreSQL: what bootstrap proved, and whether Synapse reaches its database now."""

from __future__ import annotations

import secrets
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from .. import storage
from ..accounts.registration import synapse_endpoint
from ..errors import HelperError
from ..exchange import Request, ask
from ..findings import Finding, failed, passed

if TYPE_CHECKING:
    from ..settings.service_settings import ServiceSettings

_RUN_AGAIN = "`docker compose up -d`, then `docker compose logs bootstrap`"
_GRANTED = ("superuser", "createdb", "createrole", "replication", "bypassrls")


def probe_proof(settings: ServiceSettings) -> Finding:
    """Read what bootstrap proved, with the password that only it may see."""
    try:
        content = storage.read(settings.database_report_file)
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
    if proof.get("members"):
        detail += f"; as {proof['role']} may also act: {', '.join(proof['members'])}"
    surplus = [name for name in _GRANTED if role[name]]
    surplus += [f"act as {name}" for name in proof.get("memberships", ())]
    wanted = {"encoding": "UTF8", "collation": "C", "ctype": "C", "owner": proof["role"]}
    wrong = [name for name, value in wanted.items() if found[name] != value]
    if surplus or wrong or not role["login"]:
        cause = f"the role may {', '.join(surplus) or 'not more'}; wrong: {', '.join(wrong)}"
        return failed(detail, cause=cause, next_step=_RUN_AGAIN)
    return passed(detail)


def probe_reached(settings: ServiceSettings) -> Finding:
    """Look up an alias that can not exist: 404 comes from the database, 500 without one.

    `/health` and `/versions` never touch the database, so they prove nothing here.
    """
    alias = quote(f"#{secrets.token_hex(8)}:{settings.server_name}", safe="")
    target = f"/_matrix/client/v3/directory/room/{alias}"
    answer = ask(synapse_endpoint(settings), Request(target=target))
    if answer.status == HTTPStatus.NOT_FOUND and answer.errcode == "M_NOT_FOUND":
        return passed("an unknown alias is M_NOT_FOUND")
    return failed(
        f"looking up an unknown alias gave {answer.status} {answer.errcode}".rstrip(),
        cause="Synapse can not use PostgreSQL: it is down, or the role's password differs",
        next_step="`docker compose ps postgres`, then `docker compose logs synapse`",
    )
