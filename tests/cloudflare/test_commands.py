"""The command as a user meets it: real processes, a real socket, a real disk and terminal."""

from __future__ import annotations

import json
import os
import re
import subprocess
from functools import partial

import pytest

from tests.cloudflare.command_line import PATIENCE, SETTINGS, Shell, read_json
from tests.cloudflare.simulation import PROVISIONING

ESCAPE = "\x1b"


def read_files(shell: Shell) -> dict[str, bytes]:
    """Return every file of the directory but the lock."""
    paths = (p for p in shell.directory.rglob("*") if p.is_file() and p.name != ".lock")
    return {p.relative_to(shell.directory).as_posix(): p.read_bytes() for p in paths}


def test_one_command_makes_a_whole_server(shell: Shell) -> None:
    """From nothing to a bundle that can be started; and back to nothing at Cloudflare."""
    before = shell.simulation.store.snapshot()
    done = shell.cloudflare("apply", "--yes")
    assert done.code == 0, done.text
    (tunnel,) = shell.simulation.account.tunnels.values()
    credential = read_json(shell.bundle / "secrets/tunnel.json")
    assert credential == {
        "AccountTag": shell.simulation.account.id,
        "TunnelSecret": tunnel["secret"],
        "TunnelID": tunnel["id"],
    }
    assert tunnel["id"] in (shell.bundle / "cloudflared/config.yaml").read_text()
    token = (shell.bundle / "secrets/dns_token").read_text().strip()
    assert token in {grant.value for grant in shell.simulation.store.grants.values()}
    assert "docker compose up -d" in done.output
    assert "@admin:example.org" in done.output
    (script,) = shell.simulation.account.scripts
    assert script.startswith("matrix-well-known-example-org-")
    files = read_files(shell)
    again = shell.cloudflare("apply")
    assert again.code == 0, again.text
    assert "\nnothing to do\n" in again.output
    assert read_files(shell) == files
    removed = shell.cloudflare("destroy", "--yes")
    assert removed.code == 0, removed.text
    assert shell.simulation.store.snapshot() == before
    assert not (shell.bundle / ".cloudflare.json").exists()
    assert shell.cloudflare("destroy", "--yes").output == (
        "bundle has nothing at Cloudflare; it does not contain .cloudflare.json\n"
    )


def test_a_plan_writes_nothing_anywhere(shell: Shell) -> None:
    """Neither to disk nor at Cloudflare; on a pipe it is plain text."""
    store = shell.simulation.store.snapshot()
    done = shell.cloudflare("plan")
    assert done.code == 0, done.text
    assert done.errors == ""
    assert ESCAPE not in done.output
    lines = done.output.splitlines()
    assert lines[0].startswith("zone example.org (active, free plan), account ")
    for line in (
        "create   tunnel for example.org",
        "write    the tunnel's credential into secrets/tunnel.json",
        "create   CNAME matrix.example.org -> the tunnel (proxied)",
        "create   AAAA example.org -> 100:: (proxied), because it has no record",
        "upload   Worker matrix-well-known-example-org",
        "         --fix bot-fight-mode: switch it off for the whole zone",
    ):
        assert line in lines
    assert lines[-1] == "8 changes; to apply them: synapse-bundle cloudflare apply"
    assert [path.name for path in shell.directory.iterdir()] == ["settings.yaml"]
    assert shell.simulation.store.snapshot() == store


def test_status_shows_everything_and_the_tunnels_health(shell: Shell) -> None:
    """Before, after, and when cloudflared is connected."""
    assert "tunnel       missing   tunnel for example.org" in shell.cloudflare("status").output
    shell.cloudflare("apply", "--yes")
    (tunnel,) = shell.simulation.account.tunnels.values()
    tunnel["connections"] = [{"id": str(each)} for each in range(4)]
    output = shell.cloudflare("status").output
    assert "tunnel       present   tunnel for example.org (healthy, 4 connections)" in output
    assert "missing" not in output
    assert "setting      harmful   Bot Fight Mode of example.org" in output
    document = json.loads(shell.cloudflare("status", "--json").output)
    assert document["zone"] == "example.org"
    assert {each["condition"] for each in document["things"]} == {"present", "fine", "harmful"}
    assert json.loads(shell.cloudflare("plan", "--json").output) == document


def test_no_secret_is_said_or_written_outside_secrets(shell: Shell) -> None:
    """Not the provisioning token, not the tunnel's secret, not the helper's token."""
    said = [shell.cloudflare(word, *more).text for word, *more in (
        ["plan"], ["apply", "--yes"], ["status"], ["status", "--json"], ["plan", "--json"],
    )]  # fmt: skip
    secrets = [PROVISIONING, read_json(shell.bundle / "secrets/tunnel.json")["TunnelSecret"]]
    secrets.append((shell.bundle / "secrets/dns_token").read_text().strip())
    said.append(shell.cloudflare("destroy", "--yes").text)
    for name, content in read_files(shell).items():
        kept = name.startswith("bundle/secrets/")
        assert PROVISIONING.encode() not in content, name
        assert kept or not any(secret.encode() in content for secret in secrets), name
    assert not any(secret in text for text in said for secret in secrets)


def test_the_state_file_is_plain_and_readable(shell: Shell) -> None:
    """It travels with the bundle, and a first one may be all that lies there."""
    shell.cloudflare("apply", "--yes")
    path = shell.bundle / ".cloudflare.json"
    assert path.stat().st_mode & 0o777 == 0o644
    for other in [p for p in shell.bundle.rglob("*") if p.is_file() and p != path]:
        other.unlink()
    for directory in sorted((p for p in shell.bundle.rglob("*") if p.is_dir()), reverse=True):
        directory.rmdir()
    done = shell.cloudflare("apply", "--yes")
    assert done.code == 0, done.text
    assert "fetch    the tunnel's credential into secrets/tunnel.json" in done.output


@pytest.mark.parametrize(
    ("words", "typed", "variables"),
    [
        (["--token-file", "token"], "", {"CLOUDFLARE_API_TOKEN": None}),
        (["--token-file", "-"], f"{PROVISIONING}\n", {"CLOUDFLARE_API_TOKEN": None}),
        (["--token-file", "token"], "", {"CLOUDFLARE_API_TOKEN": "wrong"}),
        ([], "", {"CLOUDFLARE_EMAIL": "me@example.org", "CLOUDFLARE_API_KEY": "0" * 37}),
    ],
)
def test_the_token_comes_from_where_it_is_said(
    shell: Shell, words: list[str], typed: str, variables: dict[str, str | None]
) -> None:
    """A file, standard input, the environment; a global key in the environment is not used."""
    (shell.directory / "token").write_text(f"{PROVISIONING}\n")
    done = shell.cloudflare("plan", *words, typed=typed, **variables)
    assert done.code == 0, done.text


@pytest.mark.parametrize(
    ("words", "variables", "message"),
    [
        ([], {"CLOUDFLARE_API_TOKEN": None}, "There is no token: set CLOUDFLARE_API_TOKEN"),
        ([], {"CLOUDFLARE_API_TOKEN": "short"}, "The token is not a Cloudflare API token"),
        ([], {"CLOUDFLARE_API_TOKEN": "cfk_" + "s" * 48}, "is a Global API Key"),
        ([], {"CLOUDFLARE_API_TOKEN": "unknown_" * 6}, "does not accept this token"),
        (["--token-file", "nowhere"], {}, "nowhere: No such file or directory"),
    ],
)
def test_a_token_that_cannot_work_is_refused_without_showing_it(
    shell: Shell, words: list[str], variables: dict[str, str | None], message: str
) -> None:
    """With the reason, and without its text."""
    done = shell.cloudflare("apply", "--yes", *words, **variables)
    assert done.code == 2
    assert message in done.errors
    token = variables.get("CLOUDFLARE_API_TOKEN")
    assert not token or token not in done.text
    assert not shell.bundle.exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("", "The trial on localhost needs nothing at Cloudflare"),
        (SETTINGS.replace("tunnel: cloudflare\n", ""), "add the line `tunnel: cloudflare`"),
        (
            SETTINGS.replace(": cloudflare", ":\n  credentials: mine.json"),
            "tunnel.credentials names a tunnel of your own",
        ),
        (f"{SETTINGS}certificates:\n  notify: nowhere\n", "certificates.notify names it"),
    ],
)
def test_unusable_settings_are_reported_before_anything_else(
    shell: Shell, settings: str, message: str
) -> None:
    """No token is asked for, and Cloudflare hears nothing."""
    (shell.directory / "settings.yaml").write_text(settings)
    done = shell.cloudflare("apply", "--yes")
    assert done.code == 2
    assert message in done.errors
    assert shell.simulation.fake.log == []


def test_without_a_terminal_nothing_is_changed(shell: Shell) -> None:
    """Without --yes on a pipe; the message names the option."""
    store = shell.simulation.store.snapshot()
    done = shell.cloudflare("apply")
    assert done.code == 2
    assert (
        "There is no terminal to ask for confirmation at; nothing was changed. Pass --yes."
        in done.errors
    )
    assert shell.simulation.store.snapshot() == store
    assert not shell.bundle.exists()


def test_a_foreign_resource_requires_its_own_approval(shell: Shell) -> None:
    """--yes alone replaces nothing; --replace does, and a destroy restores it."""
    shell.simulation.store.add_record(shell.simulation.zone, "A", "matrix.example.org", "192.0.2.1")
    before = shell.simulation.store.snapshot()
    done = shell.cloudflare("apply", "--yes")
    assert done.code == 2
    assert "--replace homeserver" in done.errors
    assert shell.simulation.store.snapshot() == before
    assert shell.cloudflare("apply", "--yes", "--replace", "homeserver", "--fix", "all").code == 0
    assert shell.simulation.zone.bots["fight_mode"] is False
    assert shell.cloudflare("destroy", "--yes").code == 0
    assert shell.simulation.store.snapshot() == before


def test_a_bundle_edited_by_hand_stops_an_apply_before_its_first_change(shell: Shell) -> None:
    """Nothing is created at Cloudflare that could not be recorded."""
    assert shell.cloudflare("apply", "--yes").code == 0
    assert shell.cloudflare("destroy", "--yes").code == 0
    (shell.bundle / "synapse/log.yaml").write_text("mine\n")
    store = shell.simulation.store.snapshot()
    done = shell.cloudflare("apply", "--yes")
    assert done.code == 1
    assert "edited by hand: synapse/log.yaml" in done.errors
    assert shell.simulation.store.snapshot() == store


def test_a_state_that_cannot_be_used_is_reported(shell: Shell) -> None:
    """Damaged, of a newer version, of another server."""
    shell.cloudflare("apply", "--yes")
    path = shell.bundle / ".cloudflare.json"
    good = path.read_text()
    for text, message in (
        ("{", "cannot be read; restore it from a backup"),
        (re.sub(r'"place": "', '"place": "../../', good), "cannot be read; restore it"),
        (re.sub(r'"id": "(\w{32})"', r'"id": "../\1"', good), "cannot be read; restore it"),
        (good.replace('"format": 1', '"format": 99'), "is from a newer synapse-bundle"),
        (good.replace('"server_name": "example.org"', '"server_name": "example.net"'),
         "has the Cloudflare state of 'example.net', not 'example.org'"),
    ):  # fmt: skip
        path.write_text(text)
        done = shell.cloudflare("plan")
        assert done.code == 2
        assert message in done.errors
    path.write_text(good)
    done = shell.cloudflare("apply", "--adopt", "abcdefgh")
    assert done.code == 2
    assert "--adopt is for a bundle without" in done.errors


def test_a_dns_token_can_be_brought_along(shell: Shell) -> None:
    """If none may be created: a plan says how, a file supplies it, and a bad one is refused."""
    shell.simulation.grant.allowed.discard(("API Tokens Write", "user"))
    plan = shell.cloudflare("plan")
    assert "error    The helper needs a token for the DNS of example.org" in plan.output
    done = shell.cloudflare("apply", "--yes")
    assert done.code == 2
    assert "apply --dns-token-file FILE" in done.errors
    (shell.directory / "dns").write_text("mine_" * 9 + "\n")
    done = shell.cloudflare("apply", "--yes", "--dns-token-file", "dns")
    assert done.code == 0, done.text
    assert (shell.bundle / "secrets/dns_token").read_text() == "mine_" * 9 + "\n"


def test_a_process_killed_anywhere_is_completed_by_the_next(shell: Shell) -> None:
    """A real SIGKILL at every seventh request; at last everything is as it was."""
    before = shell.simulation.store.snapshot()
    for victim in range(20, 70, 7):
        start = len(shell.simulation.fake.log)
        process = shell.start("cloudflare", "apply", "--yes", "--fix", "all")

        shell.watch = partial(kill_at, start + victim, process)
        process.wait(timeout=60)
    shell.watch = lambda _: None
    done = shell.cloudflare("apply", "--yes", "--fix", "all")
    assert done.code == 0, done.text
    assert "nothing to do" in shell.cloudflare("plan").output
    assert shell.cloudflare("destroy", "--yes").code == 0
    assert shell.simulation.store.snapshot() == before


def kill_at(victim: int, process: subprocess.Popen[bytes], number: int) -> None:
    """Kill a process when a request of a certain number comes."""
    if number == victim:
        process.kill()


def test_two_applies_exclude_each_other(shell: Shell) -> None:
    """The second says so, and changes nothing."""
    seen: list[str] = []

    def meet(number: int) -> None:
        if number == 20:
            shell.watch = lambda _: None
            seen.append(shell.cloudflare("apply", "--yes").errors)

    shell.watch = meet
    assert shell.cloudflare("apply", "--yes").code == 0
    assert "another run is writing bundle" in seen[0]


def test_a_destroy_works_from_the_state_that_it_has_locked(shell: Shell) -> None:
    """Another run may end while this one asks for its token."""
    before = shell.simulation.store.snapshot()
    assert shell.cloudflare("apply", "--yes").code == 0
    path = shell.bundle / ".cloudflare.json"
    state = path.read_text()
    path.write_text(json.dumps({**json.loads(state), "made": []}))
    os.mkfifo(shell.directory / "token")
    process = shell.start("cloudflare", "destroy", "--yes", "--token-file", "token")
    with (shell.directory / "token").open("w") as fifo:  # opens when the command reads it
        path.write_text(state)
        fifo.write(f"{PROVISIONING}\n")
    assert process.wait(timeout=PATIENCE) == 0
    assert shell.simulation.store.snapshot() == before


def test_a_credential_that_is_nested_without_end_is_none(shell: Shell) -> None:
    """It counts as missing, in a plan too."""
    secrets = shell.bundle / "secrets"
    secrets.mkdir(parents=True)
    (secrets / "tunnel.json").write_text("[" * 100_000)
    done = shell.cloudflare("plan")
    assert done.code == 0, done.text
    assert "the tunnel's credential into secrets/tunnel.json" in done.output


def test_what_a_destroy_had_to_skip_is_remembered(shell: Shell) -> None:
    """The exit code says so, and the next one ends it."""
    before = shell.simulation.store.snapshot()
    assert shell.cloudflare("apply", "--yes", "--fix", "bot-fight-mode").code == 0
    needed = ("Bot Management Write", shell.simulation.zone.id)
    shell.simulation.grant.allowed.remove(needed)
    done = shell.cloudflare("destroy", "--yes")
    assert done.code == 1
    assert "skip     Bot Fight Mode of example.org: the token lacks Zone → Bot" in done.output
    assert "1 skipped, for the reason above; everything else is removed" in done.errors
    shell.simulation.grant.allowed.add(needed)
    assert shell.cloudflare("destroy", "--yes").code == 0
    assert not (shell.bundle / ".cloudflare.json").exists()
    assert shell.simulation.store.snapshot() == before


def test_waiting_is_reported(shell: Shell) -> None:
    """A request that has to be repeated says so on standard error."""
    shell.simulation.strike({3: "500 before", 5: "unreachable"})
    done = shell.cloudflare("plan")
    assert done.code == 0, done.text
    assert "Cloudflare had an internal error (HTTP 500); waiting 1 s ..." in done.errors


def test_the_offline_commands_import_no_client(shell: Shell) -> None:
    """`generate`, `--help` and `--version` load neither httpx nor anything of Cloudflare's."""
    shell.cloudflare("apply", "--yes")
    shell.environment = {"PYTHONPROFILEIMPORTTIME": "1"}
    for words in (["--help"], ["--version"], ["generate"], ["init", "other.yaml"]):
        done = shell.run(*words, CLOUDFLARE_BASE_URL=None, CLOUDFLARE_API_TOKEN=None)
        assert done.code == 0, done.text
        modules = set(re.findall(r"\|\s+([\w.]+)\n", done.errors))
        assert "click" in modules
        assert not {"httpx", "synapse_bundle.cloudflare"} & modules, words
    online = shell.cloudflare("plan").errors
    assert "| httpx\n" in re.sub(r"\|\s+", "| ", online)
