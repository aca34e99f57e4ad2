"""The names in the settings: hosts, the first user, the Compose project, files."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Annotated, Final

from pydantic import AfterValidator

TRIAL: Final = "localhost"
_DRILL: Final = "drill-of-"
_LABEL: Final = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")


def _check_host(text: str) -> str:
    if text == TRIAL:
        return text
    for refused, reason in _host_faults(text):
        if refused:
            raise ValueError(reason)
    return text


def _host_faults(text: str) -> list[tuple[bool, str]]:
    labels = text.split(".")
    return [
        (not text, "is empty; write a domain such as example.org"),
        (_is_address(text), "is an IP address; a Matrix server needs a domain"),
        ("://" in text, "has a scheme; write only the domain, such as example.org"),
        (":" in text, "has a port; write only the domain, such as example.org"),
        ("/" in text, "has a path; write only the domain, such as example.org"),
        (not text.isascii(), f"is not ASCII; write it as {_to_punycode(text)!r}"),
        (text.endswith("."), "ends in a dot; remove it"),
        (len(text) > 230, "is longer than 230 characters"),
        (
            labels[-1].isdigit(),
            "ends in a number, which no domain does; use for example example.org",
        ),
        (len(labels) < 2, "has no dot; write a full domain such as example.org"),
        (
            text != text.lower() and all(_LABEL.fullmatch(label.lower()) for label in labels),
            f"has capital letters; write it as {text.lower()!r}",
        ),
        (
            not all(_LABEL.fullmatch(label) for label in labels),
            "is not a domain: only letters, digits and hyphens, in parts of 1 to 63 joined by dots",
        ),
    ]


def _is_address(text: str) -> bool:
    try:
        ip_address(text.strip("[]"))
    except ValueError:
        return False
    return True


def _to_punycode(text: str) -> str:
    try:
        return text.encode("idna").decode()
    except UnicodeError:
        return "its xn-- form"


def _check_localpart(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9.=/+-][a-z0-9._=/+-]*", text):
        msg = (
            "is not a user name: only lowercase letters, digits and . _ = / + -, no _ at the start"
        )
        raise ValueError(msg)
    if text.isdigit():
        raise ValueError("is a number, which Synapse reserves for guests; add a letter")
    if text == "synapse-bundle-check":
        raise ValueError("is the name of the bundle's own probe; choose another")
    return text


def _check_project(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,40}", text):
        raise ValueError("is not a Compose project name: only lowercase letters, digits, _ and -")
    if text.startswith(_DRILL):
        raise ValueError("is a name that only a drill may have; choose another")
    return text


def name_drill(project: str) -> str:
    """Return the Compose project of a bundle's drill, which no bundle has: all of its volumes are removed."""
    return _DRILL + project


def _check_file_name(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise ValueError("is not a file name")
    return text


Host = Annotated[str, AfterValidator(_check_host)]
Localpart = Annotated[str, AfterValidator(_check_localpart)]
Project = Annotated[str, AfterValidator(_check_project)]
FileName = Annotated[str, AfterValidator(_check_file_name)]
