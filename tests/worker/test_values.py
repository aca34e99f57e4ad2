"""The Worker answers with what the settings say, unchanged."""

from __future__ import annotations

import json
from typing import Any, Final

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from synapse_bundle import planning
from synapse_bundle.settings.model import Settings
from synapse_bundle.settings.well_known import SupportSettings as Support
from tests.bundle.test_parsers import HOST
from tests.bundles import plan_settings
from tests.worker.expected_answers import FOLDER, read_plan
from tests.worker.runtime import Request, Runtime

TROUBLE: Final = st.text(
    alphabet="'\"\\`${}</script>!-#%&\u2028\u2029\ufeff\x00\x01\x7f\x85\r\n\té\U0001f600ab"
)
ANY: Final = st.one_of(st.text(), TROUBLE)
MANY: Final = settings(max_examples=100, suppress_health_check=list(HealthCheck))


@MANY
@given(support=st.fixed_dictionaries({"email_address": ANY, "matrix_id": ANY, "page": ANY}))
@example(support=dict.fromkeys(("email_address", "matrix_id", "page"), '"];</script>${x}\u2028\\'))
@example(support=dict.fromkeys(("email_address", "matrix_id", "page"), "`*/ //<!--\\u0022\\\n\x00"))
def test_any_text_survives_the_module(importer: Runtime, support: dict[str, str]) -> None:
    """Even a text that the settings would refuse can neither change nor break the module."""
    chosen = Settings(server_name="example.org", email="you@example.org")
    chosen = chosen.model_copy(update={"support": Support.model_construct(None, **support)})
    expected = read_plan(plan_settings(chosen), "any")
    answer = importer.fetch(expected.worker, Request(target=f"{FOLDER}support"))
    assert answer.body == expected.documents["support"]
    reply: dict[str, Any] = json.loads(answer.body)
    contact = {"role": "m.role.admin", **{k: v for k, v in support.items() if k != "page"}}
    assert reply == {"contacts": [contact], "support_page": support["page"]}


@MANY
@given(server_name=HOST, homeserver=HOST)
def test_any_domain_is_answered_as_it_is(
    importer: Runtime, server_name: str, homeserver: str
) -> None:
    """The names in the settings are the ones that clients and servers learn."""
    chosen = Settings(server_name=server_name, homeserver=homeserver, email="you@example.org")
    worker = read_plan(plan_settings(chosen), "any").worker
    client = importer.fetch(worker, Request(target=f"{FOLDER}client")).json
    server = importer.fetch(worker, Request(target=f"{FOLDER}server")).json
    assert client == {"m.homeserver": {"base_url": f"https://{homeserver}"}}
    assert server == {"m.server": f"{homeserver}:443"}
    assert worker.source.encode() == planning.plan_worker(chosen)
