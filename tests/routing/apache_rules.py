"""Apache's rules about the process that answers, read from a planned httpd.conf and carried out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

_CONDITION: Final = re.compile(r'RewriteCond (?:"(.+?)"|(\S+)) "(.+?)"( \[OR\])?')
_POOL: Final = re.compile(r'RewriteRule "\^" - \[(?:E=TARGET:%1,)?E=POOL:([\w-]+)\]')
_BALANCER: Final = re.compile(r'<Proxy "balancer://([\w-]+)">(.*?)</Proxy>', re.DOTALL)
_MEMBER: Final = re.compile(r'BalancerMember "http://([\w.-]+):\d+"(.*)')
_TARGET: Final = re.compile(r'RewriteRule "\S+" "balancer://(\S+?)-%\{ENV:POOL\}%\{ENV:TARGET\}"')


@dataclass(frozen=True, kw_only=True)
class Condition:
    """One RewriteCond: what is tested, the pattern, and whether the next may hold instead."""

    tested: str
    pattern: str
    alternative: bool


@dataclass(frozen=True, kw_only=True)
class PoolChoice:
    """One RewriteRule that names the pool, with its conditions."""

    pool: str
    conditions: tuple[Condition, ...]

    def holds(self, variables: Mapping[str, str]) -> bool:
        """Return whether all conditions hold; those joined by [OR] count as one."""
        met = False
        for number, condition in enumerate(self.conditions):
            starts = number == 0 or not self.conditions[number - 1].alternative
            met = (not starts and met) or _matches(condition, variables)
            if not met and not condition.alternative:
                return False
        return True


@dataclass(frozen=True, kw_only=True)
class Member:
    """One member of a balancer; `most` is 0 where it has no limit."""

    host: str
    standby: bool
    most: int


def read_choices(configuration: str) -> list[PoolChoice]:
    """Return the rules that name a pool, in their order."""
    choices, conditions = [], []
    for line in configuration.splitlines():
        if found := _CONDITION.fullmatch(line.strip()):
            tested = found[1] or found[2]
            conditions.append(
                Condition(tested=tested, pattern=found[3], alternative=bool(found[4]))
            )
        elif found := _POOL.fullmatch(line.strip()):
            choices.append(PoolChoice(pool=found[1], conditions=tuple(conditions)))
            conditions = []
        elif "Rewrite" in line:
            conditions = []
    return choices


def choose_pool(
    choices: Iterable[PoolChoice],
    method: str,
    path: str,
    *,
    query: str = "",
    authorization: str = "",
) -> str:
    """Return the pool that Apache has for a request at the end of the rules."""
    variables = {
        "ENV:TARGET": path,
        "ENV:POOL": "",
        "REQUEST_METHOD": method,
        "THE_REQUEST": f"{method} {path}{'?' if query else ''}{query} HTTP/1.1",
        "QUERY_STRING": query,
        "HTTP:Authorization": authorization,
    }
    for choice in choices:
        if choice.holds(variables):
            variables["ENV:POOL"] = choice.pool
    return variables["ENV:POOL"]


def read_balancers(configuration: str) -> dict[str, list[Member]]:
    """Return the members of every balancer."""
    return {
        name: [
            Member(
                host=host,
                standby="status=+H" in options,
                most=int((re.findall(r" max=(\d+)", options) or ["0"])[0]),
            )
            for host, options in _MEMBER.findall(text)
        ]
        for name, text in _BALANCER.findall(configuration)
    }


def read_kinds(configuration: str) -> list[str]:
    """Return the kinds of request that have pools."""
    return _TARGET.findall(configuration)


def _matches(condition: Condition, variables: Mapping[str, str]) -> bool:
    value = re.sub(r"%\{([\w:]+)\}", lambda found: variables[found[1]], condition.tested)
    if condition.pattern.startswith("="):
        return value == condition.pattern[1:]
    return re.search(condition.pattern, value) is not None
