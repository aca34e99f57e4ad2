"""Reading the container's environment: every problem is collected, none stops at the first."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import urlsplit

from ..errors import InvalidEnvironmentError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_Value = TypeVar("_Value")
HIGHEST_PORT: Final = 65535
_LABEL: Final = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_DNS_NAME: Final = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_LONGEST_NAME: Final = 253
_VERIFY_KEY: Final = re.compile(r"ed25519:[A-Za-z0-9_]+ [A-Za-z0-9+/]{43}")


class Secret:
    """A value that is never shown: `str` and `repr` give `[secret]`, `reveal` the value."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the value itself, for the one call that needs it."""
        return self._value

    def __repr__(self) -> str:
        return "[secret]"


class Environment:
    """A view of the environment that notes problems and then returns a stand-in value.

    Call `raise_problems` before any value is used.
    """

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values
        self.problems: list[str] = []

    def read(self, name: str, parse: Callable[[str], _Value], stand_in: _Value) -> _Value:
        """Return variable `name` through `parse`; its ValueError becomes a noted problem."""
        text = self._values.get(name, "")
        if not text.strip():
            self.problems.append(f"{name} is {'empty' if name in self._values else 'missing'}")
            return stand_in
        try:
            return parse(text)
        except ValueError as error:
            self.problems.append(f"{name}: {error}")
            return stand_in

    def has(self, name: str) -> bool:
        """Say whether there is a variable of this name, whatever it holds."""
        return name in self._values

    def text(self, name: str) -> str:
        """Return a variable that may hold any text but an empty one."""
        return self.read(name, str, "")

    def dns_name(self, name: str) -> str:
        """Return a lower-case DNS name."""
        return self.read(name, _parse_dns_name, "")

    def number(self, name: str, highest: int) -> int:
        """Return a whole number from 1 to `highest`."""
        return self.read(name, lambda text: parse_number(text, highest), 1)

    def path(self, name: str) -> Path:
        """Return an absolute path."""
        return self.read(name, parse_path, Path("/"))

    def optional_path(self, name: str, without: str) -> Path | None:
        """Return an absolute path; None where the variable holds the word `without`."""
        return self.read(name, lambda text: None if text == without else parse_path(text), None)

    def secret_file(self, name: str) -> Secret:
        """Return the content of the file that variable `name` names."""
        return self.read(name, lambda text: read_secret(parse_path(text)), Secret(""))

    def checked_file(self, name: str, read: Callable[[Path], object]) -> Path:
        """Return the path of a file, after `read` has accepted the file; its ValueError is noted."""

        def parse(text: str) -> Path:
            path = parse_path(text)
            read(path)
            return path

        return self.read(name, parse, Path("/"))

    def optional_file(self, name: str, without: str) -> Path | None:
        """Return the path of a readable file; None where the variable holds the word `without`."""
        if self._values.get(name) == without:
            return None
        return self.checked_file(name, read_text)

    def yes_or_no(self, name: str) -> bool:
        """Return whether a variable holds `yes` rather than `no`."""
        return self.read(name, _parse_yes_or_no, False)

    def verify_key(self, name: str) -> str:
        """Return a server's public key in the form of Synapse's `old_signing_keys`."""
        return self.read(name, _parse_verify_key, "")

    def verify_keys(self, name: str) -> frozenset[str]:
        """Return public keys with `, ` between them; none where there is no such variable."""
        if name not in self._values:
            return frozenset()
        return self.read(name, _parse_verify_keys, frozenset())

    def address(self, name: str) -> tuple[str, int]:
        """Return `host:port` as a pair."""
        return self.read(name, parse_address, ("", 1))

    def addresses(self, name: str) -> tuple[tuple[str, int], ...]:
        """Return `host:port host:port …` as pairs; none where there is no such variable."""
        if name not in self._values:
            return ()
        return self.read(name, lambda text: tuple(map(parse_address, text.split())), ())

    def url(self, name: str, schemes: tuple[str, ...]) -> str:
        """Return a URL of a host, optionally a port, and no path; a final slash is dropped."""
        return self.read(name, lambda text: _parse_url(text, schemes), "")

    def raise_problems(self) -> None:
        """Raise an InvalidEnvironmentError with every problem noted so far, if there is one."""
        if self.problems:
            raise InvalidEnvironmentError(tuple(self.problems))


def _parse_dns_name(text: str) -> str:
    """Return `text` if it is a lower-case DNS name; ValueError otherwise."""
    if len(text) > _LONGEST_NAME or not _DNS_NAME.fullmatch(text):
        raise ValueError(f"{text!r} is not a lower-case DNS name such as matrix.example.org")
    return text


def parse_number(text: str, highest: int) -> int:
    """Return a whole number from 1 to `highest`; ValueError otherwise."""
    if not re.fullmatch(r"[0-9]{1,18}", text) or not 1 <= int(text) <= highest:
        raise ValueError(f"{text!r} is not a whole number from 1 to {highest}")
    return int(text)


def parse_path(text: str) -> Path:
    """Return an absolute path; ValueError otherwise."""
    if not text.startswith("/"):
        raise ValueError(f"{text!r} is not an absolute path")
    return Path(text)


def parse_address(text: str) -> tuple[str, int]:
    """Return (host, port) of `host:port`; ValueError otherwise."""
    host, separator, port = text.rpartition(":")
    if not separator:
        raise ValueError(f"{text!r} has no port: write host:port")
    return _parse_dns_name(host), parse_number(port, HIGHEST_PORT)


def _parse_url(text: str, schemes: tuple[str, ...]) -> str:
    """Return a URL that is a scheme and a host alone; ValueError otherwise."""
    parts = urlsplit(text)
    if parts.scheme not in schemes or not parts.hostname or parts.path not in {"", "/"}:
        raise ValueError(f"{text!r} is not a URL such as {schemes[0]}://example.org")
    if parts.query or parts.fragment or "@" in parts.netloc or parts.port == 0:
        raise ValueError(f"{text!r} holds more than scheme, host and port")
    return text.rstrip("/")


def _parse_verify_key(text: str) -> str:
    if not _VERIFY_KEY.fullmatch(text):
        raise ValueError("is not of the form `ed25519:a_XXXX <43 characters of base64>`")
    return text


def _parse_verify_keys(text: str) -> frozenset[str]:
    return frozenset(map(_parse_verify_key, text.split(", ")))


def _parse_yes_or_no(text: str) -> bool:
    if text not in {"yes", "no"}:
        raise ValueError(f"{text!r} is neither yes nor no")
    return text == "yes"


def parse_certificate_name(text: str) -> str:
    """Return an IP address in its canonical form, or a DNS name, perhaps with a wildcard."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return ("*." if text.startswith("*.") else "") + _parse_dns_name(text.removeprefix("*."))


def read_secret(path: Path) -> Secret:
    """Return the one line in `path` without its final newline; ValueError names the defect."""
    text = read_text(path)
    value = text.removesuffix("\n")
    if not value.strip():
        raise ValueError(f"{path} is empty")
    if value != value.strip() or not value.isprintable():
        raise ValueError(f"{path} must hold one line without surrounding blanks")
    return Secret(value)


def read_text(path: Path) -> str:
    """Return the text of a mounted file; ValueError says in a few words why it cannot be read."""
    try:
        # As bytes, because reading as text would hide the carriage return of a CRLF.
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist") from None
    except IsADirectoryError:
        # Docker makes a directory where the file to mount is missing on the host.
        raise ValueError(f"{path} is a directory: the file is missing on the host") from None
    except PermissionError:
        raise ValueError(f"{path} may not be read by this user (its mode must be 0444)") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8 text") from None
