"""YAML as Go's yaml.v3 reads it, as far as a configuration file of cloudflared needs it."""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any, Final

import yaml

from tunnel_double import RefusalError


class _GoLoader(yaml.SafeLoader):
    """A loader without YAML 1.1's yes and no, that refuses a key written twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Build one mapping; a key that appears twice is an error, as in yaml.v3."""
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = sorted({str(key) for key in keys if keys.count(key) > 1})
        if twice:
            msg = f"{node.start_mark}: key already set in map: {', '.join(twice)}"
            raise RefusalError(msg)
        return super().construct_mapping(node, deep=deep)


_BOOL: Final = "tag:yaml.org,2002:bool"
_GoLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _BOOL]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_GoLoader.add_implicit_resolver(
    _BOOL, re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)


def parse_yaml(text: str, where: str) -> object:
    """Return what the one document of the text says; raise RefusalError where it is not YAML."""
    try:
        return yaml.load(text, Loader=_GoLoader)  # a SafeLoader  # noqa: S506
    except yaml.YAMLError as error:
        msg = f"error parsing YAML in config file at {where}: {error}"
        raise RefusalError(msg) from None
