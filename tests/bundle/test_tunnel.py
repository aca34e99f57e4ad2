"""The tunnel's configuration by cloudflared's own rules, as the lab's double models them."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings

sys.path.insert(0, str(Path(__file__).parents[1] / "lab" / "images" / "cloudflared"))

from tunnel_double import RefusalError
from tunnel_double.configuration import read_configuration
from tunnel_double.ingress import Rule, find_rule, validate_ingress

from synapse_bundle import topology
from synapse_bundle.settings import loading
from synapse_bundle.settings.model import Settings
from tests.bundle.test_parsers import HOST
from tests.bundles import plan_settings
from tests.settings import SHAPES

TUNNELS = [chosen for chosen in map(loading.load, SHAPES) if chosen.tunnel]
FEW = settings(max_examples=30, suppress_health_check=list(HealthCheck))


@pytest.fixture(params=TUNNELS, ids=lambda chosen: f"{chosen.server_name}-{chosen.project}")
def chosen(request: pytest.FixtureRequest) -> Settings:
    """Every shape that has a tunnel in turn."""
    shape: Settings = request.param
    return shape


def render(chosen: Settings, name: str = "cloudflared/config.yaml") -> str:
    """Return the text of a planned file."""
    return next(f.content.decode() for f in plan_settings(chosen).files if str(f.path) == name)


def read_rules(text: str, folder: Path) -> tuple[Rule, ...]:
    """Return the ingress rules of a configuration; raises RefusalError where cloudflared would."""
    path = folder / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return validate_ingress(read_configuration(path).rules)


def check_rules(chosen: Settings, rules: tuple[Rule, ...]) -> None:
    """One host leads to Apache, verified by its name; everything else is 404."""
    site, catch_all = rules
    assert (site.hostname, site.path) == (chosen.homeserver, None)
    assert (site.service.scheme, site.service.host) == ("https", topology.APACHE.host)
    assert site.service.port == topology.APACHE.port
    assert site.origin.origin_server_name == chosen.homeserver
    assert not site.origin.no_tls_verify
    assert not site.origin.match_sni_to_host
    assert not site.origin.http_host_header
    assert (catch_all.hostname, catch_all.path, catch_all.service.status) == ("", None, 404)
    for stranger in (f"x.{chosen.homeserver}", f"x{chosen.homeserver}", "", "localhost", "apache"):
        assert rules[find_rule(rules, stranger, "/_matrix/client/versions")] is catch_all


def test_the_configuration_holds(chosen: Settings, tmp_path: Path) -> None:
    """Cloudflared knows every key, accepts every rule, and leads one host to Apache."""
    check_rules(chosen, read_rules(render(chosen), tmp_path))


def test_cloudflared_closes_idle_connections_first(chosen: Settings, tmp_path: Path) -> None:
    """Apache keeps an idle connection for longer, or a request could meet one it just closed."""
    apache = re.search(r"(?m)^KeepAliveTimeout (\d+)$", render(chosen, "apache/httpd.conf"))
    assert apache
    site, _ = read_rules(render(chosen), tmp_path)
    assert 0 < site.origin.keep_alive_timeout < int(apache[1])


def test_nothing_is_left_to_trust(chosen: Settings) -> None:
    """No key by which cloudflared would believe any certificate, not even one that is false."""
    assert "notlsverify" not in render(chosen).lower()


@FEW
@given(server_name=HOST, homeserver=HOST)
def test_any_domain_makes_a_valid_configuration(
    server_name: str, homeserver: str, tmp_path: Path
) -> None:
    """The rules hold for every name that the settings accept."""
    values = {
        "server_name": server_name,
        "homeserver": homeserver,
        "email": "you@example.org",
        "tunnel": {"credentials": "tunnel.json"},
    }
    chosen = Settings.model_validate(values)
    check_rules(chosen, read_rules(render(chosen), tmp_path))


@pytest.mark.parametrize(
    ("site", "origin"),
    [
        ({"hostname": "matrix.example.org:443"}, {}),
        ({"hostname": "*"}, {}),
        ({"hostname": "matrix.*.org"}, {}),
        ({"service": "https://apache:443/"}, {}),
        ({"service": "apache:443"}, {}),
        ({"unknown": "key"}, {}),
        ({}, {"originServername": "matrix.example.org"}),
        ({}, {"connectTimeout": "10"}),
        ({}, {"connectTimeout": 10}),
        ({}, {"keepAliveTimeout": "90 s"}),
        ({}, {"noTLSVerify": True}),
        ({}, {"originServerName": "apache"}),
    ],
    ids=str,
)
def test_a_wrong_configuration_is_noticed(
    site: dict[str, Any], origin: dict[str, Any], tmp_path: Path
) -> None:
    """Each of the mistakes that these tests are for is refused by the model or by the laws."""
    chosen = TUNNELS[0]
    content = yaml.safe_load(render(chosen))
    content["ingress"][0].update(site)
    content["ingress"][0]["originRequest"].update(origin)
    with pytest.raises((RefusalError, AssertionError)):
        check_rules(chosen, read_rules(yaml.safe_dump(content), tmp_path))


@pytest.mark.parametrize("order", [(0,), (1, 0), (1, 0, 1), (0, 1, 1)], ids=str)
def test_a_catch_all_elsewhere_is_noticed(order: tuple[int, ...], tmp_path: Path) -> None:
    """The rule for everything else is the last one, and the only one of its kind."""
    content = yaml.safe_load(render(TUNNELS[0]))
    content["ingress"] = [content["ingress"][number] for number in order]
    with pytest.raises(RefusalError):
        read_rules(yaml.safe_dump(content), tmp_path)
