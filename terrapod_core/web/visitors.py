"""Who is at the other end of a connection, when proxies stand in between. No web framework here.

One header is read, `X-Forwarded-For`, and of it only what proxies of ours wrote. `Forwarded`, `X-Real-IP`, `X-Forwarded-Proto` and
`X-Forwarded-Host` are not: scheme and host come from the setting `external_url`, which a proxy needs anyway.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv6Address, ip_network
from typing import Final

from terrapod_core.outgoing.addresses import parsed

LONGEST_ENTRY: Final = 64
"""Of one entry. The longest IPv6 address in brackets and with a port has 53 characters."""


class Proxies:
    """How many proxies there are, and which addresses they have; an empty list of networks takes whoever connects for one."""

    def __init__(self, depth: int, networks: Sequence[str] = ()) -> None:
        self.depth = depth
        self._networks = tuple(ip_network(each) for each in networks)

    def client(self, peer: str | None, forwarded: Sequence[str]) -> str | None:
        """The address of the one who asks.

        `peer` is the address of the connection (`None` for a socket file), `forwarded` the values of `X-Forwarded-For` in their order.
        Each proxy adds at the right whom it was asked by. So the way back is walked from the right, one entry for each proxy of
        ours; it ends early at an address that is none of them, and before an entry that is no address.
        """
        found = plain(peer) if peer else None
        if self.depth == 0 or not forwarded:
            return found or peer
        entries = ",".join(forwarded).rsplit(",", self.depth)
        # With more entries than proxies, the first piece holds what the client itself has sent.
        trusted = entries[1:] if len(entries) > self.depth else entries
        for entry in reversed(trusted):
            if found is not None and not self.is_proxy(found):
                break
            address = plain(entry)
            if address is None:
                break
            found = address
        return found or peer

    def is_proxy(self, address: str) -> bool:
        """Whether a proxy of ours may have this address."""
        if self.depth == 0:
            return False
        if not self._networks:
            return True
        known = parsed(address)
        return known is not None and any(known in network for network in self._networks)


def plain(entry: str) -> str | None:
    """The address in an entry, without port and brackets, a v4-mapped one as IPv4; `None` for what is no address."""
    text = entry.strip().strip('"')
    if not text or len(text) > LONGEST_ENTRY:
        return None
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    known = parsed(text)
    return str(known) if known is not None else None


def neighbourhood(address: str | None) -> str:
    """What limits count by: an IPv4 address, or the /64 that one subscriber has of IPv6."""
    if address is None or ":" not in address:
        return address or "-"
    known = parsed(address)
    return str(known) if known is None or known.version == 4 else f"{IPv6Address(int(known) >> 64 << 64)}/64"
