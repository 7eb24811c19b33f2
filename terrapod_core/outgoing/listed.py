"""A list of hosts that may be asked, whatever their addresses: the operator wrote it. No network here."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from terrapod_core.outgoing.errors import OutgoingRefused

HTTPS_PORT: Final = 443

_ENTRY: Final = re.compile(r"(?P<any>\*\.)?(?P<host>[a-z0-9_.-]{1,253}|\[[0-9a-f:.]{2,45}\])(:(?P<port>[0-9]{1,5}))?")


@dataclass(frozen=True)
class HostList:
    """Hosts that may be asked by https."""

    entries: frozenset[tuple[bool, str, int]]
    """Whether names below it are meant, the host in lower case and ASCII without brackets, and the port."""
    setting: str
    """Where an operator adds a host: the end of a refusal's sentence."""

    @classmethod
    def of(cls, hosts: Iterable[str], setting: str) -> HostList:
        """From `host`, `host:port` and `*.host`, which is every name below it; without a port, 443 is meant.

        Raises `ValueError`, with a sentence, for anything else.
        """
        return cls(frozenset(_read(each) for each in hosts), setting)

    def check(self, scheme: str, host: str, port: int | None, *, userinfo: bool = False) -> None:
        """Raise `OutgoingRefused` for a URL with these parts. `host` is ASCII, in lower case, without brackets."""
        named = host.removesuffix(".")
        at = port or HTTPS_PORT
        shown = (named[:253] or "(no host)") + ("" if at == HTTPS_PORT else f":{at}")
        if scheme != "https":
            raise OutgoingRefused(shown, "must be asked by https")
        if userinfo:
            raise OutgoingRefused(shown, "is named with a user or a password in the URL, which is not sent anywhere")
        if not self.has(named, at):
            raise OutgoingRefused(shown, f"is not on the list of hosts that may be asked ({self.setting} adds to it)")

    def has(self, host: str, port: int | None = None) -> bool:
        """Whether it is on the list. `host` as for `check`."""
        at = port or HTTPS_PORT
        return any(at == allowed and (host.endswith(f".{name}") if below else host == name) for below, name, allowed in self.entries)


def plain_host(text: str) -> str:
    """A host as addresses of providers and modules have it: lower case, ASCII, `:port` when that is not 443.

    Raises `ValueError`, with a sentence, for what is no host.
    """
    below, host, port = _read(text)
    if below:
        raise ValueError(f"{text!r} is many hosts, and here one is named")
    return (f"[{host}]" if ":" in host else host) + ("" if port == HTTPS_PORT else f":{port}")


def _read(text: str) -> tuple[bool, str, int]:
    match = _ENTRY.fullmatch(_ascii(text.lower()))
    port = int(match["port"] or HTTPS_PORT) if match else 0
    if match is None or not 0 < port < 65_536 or ".." in match["host"] or match["host"].startswith((".", "-")):
        raise ValueError(f"{text!r} is no host: write example.com, example.com:8443 or *.example.com")
    return match["any"] is not None, match["host"].strip("[]").removesuffix("."), port


def _ascii(text: str) -> str:
    """A name in the form in which it is asked for: IDNA, as httpx has it."""
    if text.isascii():
        return text
    import idna

    try:
        return ".".join(label if label.isascii() else idna.encode(label).decode("ascii") for label in text.split("."))
    except idna.IDNAError:
        return ""
