"""Requests that this server makes to others: one place that makes HTTP clients, so that no address is asked unguarded.

HTTPClients    `guarded` for addresses that users chose, `trusted` for those that the operator set, `listed` for what others name at
               hosts of the operator's list
HostList       such a list
OutgoingError  and what is under it: refused, unreachable, out of time, too large
plain_host     a host as addresses of providers and modules have it
own_servers    what is this installation's own, and never asked for a user
"""

from __future__ import annotations

from terrapod_core.outgoing.clients import HTTPClients
from terrapod_core.outgoing.errors import OutgoingError, OutgoingRefused, OutgoingTimeout, OutgoingTooLarge, OutgoingUnreachable
from terrapod_core.outgoing.listed import HostList, plain_host
from terrapod_core.outgoing.own import own_servers

__all__ = [
    "HTTPClients",
    "HostList",
    "OutgoingError",
    "OutgoingRefused",
    "OutgoingTimeout",
    "OutgoingTooLarge",
    "OutgoingUnreachable",
    "own_servers",
    "plain_host",
]
