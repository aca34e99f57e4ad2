"""The command at a terminal: what it asks, and what each answer does."""

from __future__ import annotations

import pytest

from tests.cloudflare.command_line import Shell
from tests.cloudflare.simulation import PROVISIONING


def calm(shell: Shell) -> None:
    """Let no setting of the zone be harmful, so that nothing is asked about them."""
    zone = shell.simulation.zone
    zone.bots["fight_mode"], zone.settings["always_use_https"] = False, "on"
    zone.settings |= {"browser_check": "off", "security_level": "off"}


def test_a_person_at_a_terminal_is_asked(shell: Shell) -> None:
    """The token at a hidden prompt, each foreign resource, each setting, and at last everything.

    Without the proxy there is nothing to ask about the Worker's route.
    """
    shell.simulation.store.add_record(shell.simulation.zone, "A", "matrix.example.org", "192.0.2.1")
    shell.simulation.store.add_record(shell.simulation.zone, "A", "example.org", "192.0.2.2")
    shell.simulation.store.add_script(shell.simulation.account, "other")
    shell.simulation.store.add_route(
        shell.simulation.zone, "example.org/.well-known/matrix/*", "other"
    )
    done = shell.type(
        "cloudflare",
        "apply",
        answers={
            "Cloudflare API token: ": PROVISIONING,
            "Replace it? [y/N]: ": "y",
            "Proxy it? [y/N]: ": "n",
            "switch it off for the whole zone? [y/N]: ": "y",
            "switch on Always Use HTTPS for the whole zone? [y/N]: ": "n",
            "Shall I add one configuration rule": "n",
            "now? [y/N]: ": "y",
        },
        CLOUDFLARE_API_TOKEN=None,
    )
    assert done.code == 0, done.text
    assert PROVISIONING not in done.text
    assert shell.simulation.zone.bots["fight_mode"] is False
    assert shell.simulation.zone.settings["always_use_https"] == "off"
    assert set(shell.simulation.account.scripts) == {"other"}
    kinds = sorted((r["type"], r["proxied"]) for r in shell.simulation.zone.records.values())
    assert kinds == [("A", False), ("CNAME", True)]
    assert (shell.bundle / "compose.yaml").is_file()


@pytest.mark.parametrize("question", ["Replace it? [y/N]: ", "now? [y/N]: "])
def test_a_denial_changes_nothing(shell: Shell, question: str) -> None:
    """Neither what is foreign, nor anything else."""
    if "Replace" in question:
        shell.simulation.store.add_record(
            shell.simulation.zone, "A", "matrix.example.org", "192.0.2.1"
        )
    calm(shell)
    store = shell.simulation.store.snapshot()
    done = shell.type("cloudflare", "apply", answers={question: "n"})
    assert done.code == 1
    assert "Aborted; nothing was changed." in done.text
    assert shell.simulation.store.snapshot() == store
    assert not shell.bundle.exists()


def test_a_destroy_asks_first(shell: Shell) -> None:
    """It shows what it deletes and restores, and a denial keeps it all."""
    shell.cloudflare("apply", "--yes")
    store = shell.simulation.store.snapshot()
    done = shell.type("cloudflare", "destroy", answers={"Do this now? [y/N]: ": "n"})
    assert done.code == 1
    assert "delete   CNAME matrix.example.org -> " in done.text
    assert shell.simulation.store.snapshot() == store
    done = shell.type("cloudflare", "destroy", answers={"Do this now? [y/N]: ": "y"})
    assert done.code == 0, done.text


def test_a_missing_dns_token_is_asked_for(shell: Shell) -> None:
    """At a hidden prompt, if none may be created."""
    calm(shell)
    shell.simulation.grant.allowed.discard(("API Tokens Write", "user"))
    answers = {"DNS token for the helper: ": "mine_" * 9, "now? [y/N]: ": "y"}
    done = shell.type("cloudflare", "apply", answers=answers)
    assert done.code == 0, done.text
    assert "mine_mine" not in done.text
    assert (shell.bundle / "secrets/dns_token").read_text() == "mine_" * 9 + "\n"
