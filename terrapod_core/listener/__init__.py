"""The program on another machine: joins a pool, takes its runs, and has a runner backend carry them out.

It speaks the listener protocol (`docs/reference/listener-protocol.md`) with a server and knows nothing else of it: no database, no
web. What it holds is on disk before it matters, so that it may be killed at any point.

Listener     takes phases until it is told to stop
Server       the protocol's client
StateDir     what outlives the process
open_backend the runner backend, found and tried as on a server
"""

from __future__ import annotations

from terrapod_core.listener.backends import Backend, open_backend
from terrapod_core.listener.errors import Away, Ended, Refused
from terrapod_core.listener.joining import JoinRefused, join, pool_of
from terrapod_core.listener.server import Server
from terrapod_core.listener.service import Listener, Place
from terrapod_core.listener.state import Identity, StateDir

__all__ = [
    "Away",
    "Backend",
    "Ended",
    "Identity",
    "JoinRefused",
    "Listener",
    "Place",
    "Refused",
    "Server",
    "StateDir",
    "join",
    "open_backend",
    "pool_of",
]
