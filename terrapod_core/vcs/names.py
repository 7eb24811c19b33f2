"""The names that go-tfe has for connections: an OAuth client, its token, an installation of an app. All are the connection itself."""

from __future__ import annotations

from typing import Final

CLIENT: Final = "oc"
TOKEN: Final = "ot"  # noqa: S105
INSTALLATION: Final = "ghain"


def named(kind: str, connection_id: str) -> str:
    """The id of a connection as go-tfe's clients know it."""
    return f"{kind}-{connection_id.removeprefix('vcs-')}"


def connection_id_of(name: str) -> str:
    """The connection's id, of any of its names."""
    kind, _, rest = name.partition("-")
    return f"vcs-{rest}" if kind in (CLIENT, TOKEN, INSTALLATION) else name
