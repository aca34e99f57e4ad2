"""The duty that keeps the operator informed of releases: looks up, compares, leaves it, sends."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from .. import status, storage
from ..errors import HelperError
from ..monitoring import notification
from ..updates.advice import Urgency, advise
from ..updates.look_up import look_up
from ..updates.messages import describe_trouble, list_messages
from ..updates.running_versions import find_running
from ..updates.subscription import write_subscription
from .supervisor import tell

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..settings.release_settings import ReleaseSettings
    from ..settings.service_settings import ServiceSettings


def keep_informed(
    settings: ServiceSettings,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    tell: Callable[[str], None] = tell,
) -> None:
    """Do one round; what keeps it from being done is the problem that it leaves."""
    if settings.releases is None:
        return
    try:
        problem = _do_round(settings, settings.releases, now(), tell)
    except HelperError as error:
        problem = error.message
    storage.write_json(settings.state_directory / f"{status.UPDATES}.json", {"problem": problem})


def _do_round(
    settings: ServiceSettings,
    chosen: ReleaseSettings,
    now: datetime,
    tell: Callable[[str], None],
) -> str | None:
    """Look up, send what is due, and return what is wrong or must be done."""
    subscription = look_up(chosen, now)
    releases = subscription.releases
    advice = advise(find_running(settings), releases) if releases else ()
    lines, after = list_messages(settings.homeserver, subscription, advice, now)
    file = settings.notification_file
    if file is not None and lines:
        # What cannot be remembered as sent would be sent again every hour.
        write_subscription(chosen.directory, subscription)
        if notification.send(file, "\n".join(lines), tell):
            write_subscription(chosen.directory, after)
    urgent = [part.sentence for part in advice if part.urgency is Urgency.SECURITY]
    trouble = describe_trouble(subscription, now)
    return "; ".join([*urgent, *([trouble] if trouble else [])]) or None
