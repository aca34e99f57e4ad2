"""example.org in a small internet: a good server, with handles to break one thing at a time."""

from __future__ import annotations

import json
from typing import Any

from bundle_helper.federation.names import parse_server_name
from bundle_helper.federation.network import Trust
from bundle_helper.federation.proof import prove
from bundle_helper.federation.rows import build_rows
from bundle_helper.federation.tester_report import build_report
from tests.helper.small_internet import (
    KEYS,
    WELL_KNOWN,
    Reply,
    Site,
    SmallInternet,
    matrix_pages,
    sign_keys,
)

A, B, C = "192.0.2.1", "192.0.2.2", "2001:db8::2"
PLACES = (f"{B}:443", f"[{C}]:443")
GOOD = {"m.server": "matrix.example.org:443"}


class ExampleOrg(SmallInternet):
    """example.org delegates to matrix.example.org, which has two addresses."""

    apex: Site
    matrix: Site

    def build(self) -> None:
        """Put up both sites."""
        self.name("example.org", "A", A)
        self.name("matrix.example.org", "A", B)
        self.name("matrix.example.org", "AAAA", C)
        headers = {"Cache-Control": "public, max-age=3600"}
        pages = {WELL_KNOWN: Reply(body=GOOD, headers=headers)}
        self.apex = self.serve("example.org", f"{A}:443", pages=pages)
        pages = matrix_pages("example.org")
        self.matrix = self.serve("matrix.example.org", *PLACES, pages=pages)

    def publish(self, **changes: Any) -> None:
        """Serve other keys, rightly signed."""
        self.answer(Reply(body=sign_keys("example.org", **changes)))

    def answer(self, reply: Reply, target: str = KEYS) -> None:
        """Answer otherwise where keys are asked for, or elsewhere at the homeserver."""
        self.matrix.pages[target] = reply

    def direct(self, reply: Reply) -> None:
        """Answer otherwise at the well-known path."""
        self.apex.pages[WELL_KNOWN] = reply

    def close(self) -> None:
        """Stop whatever listens at the homeserver's addresses."""
        self.sites = {place: site for place, site in self.sites.items() if site is self.apex}

    def report(self, *more: Trust) -> dict[str, Any]:
        """Return the report on example.org, after holding it against the rows for people."""
        proof = prove(parse_server_name("example.org"), self.network(*more), patience=5)
        rows, built = build_rows(proof), json.loads(json.dumps(build_report(proof)))
        assert built["FederationOK"] is all(row.ok for row in rows)
        assert all(row.cause and row.next_step for row in rows if not row.ok)
        return dict(built)


def find(content: Any, path: str) -> list[Any]:
    """Return every value at a path such as `A/*/B`."""
    step, _, rest = path.partition("/")
    inner = list(content.values()) if step == "*" else [content[step]]
    return [found for value in inner for found in (find(value, rest) if rest else [value])]
