"""A forge that the servers of all suites may ask: GitLab's double, one for the whole process."""

from __future__ import annotations

import atexit
import functools
import tempfile
from pathlib import Path
from typing import Any

import httpx

from tests.support.forge_gitlab import GitLabForge
from tests.support.wire import ORG, data, document, fresh

IDENTIFIER = "acme/known"
"""The one repository that it has."""
TOKEN = "forge-token"


@functools.cache
def known_forge() -> GitLabForge:
    """Started when somebody first asks; gone with the process."""
    directory = tempfile.TemporaryDirectory(prefix="known-forge-")
    forge = GitLabForge(Path(directory.name))
    forge.start()
    atexit.register(directory.cleanup)
    atexit.register(forge.stop)
    forge.repository(IDENTIFIER)
    return forge


def trusting() -> dict[str, str]:
    """Settings of a server that is to ask it."""
    return {"OUTGOING__CA_FILE": str(known_forge().ca_file)}


def connection_document(**attributes: Any) -> dict[str, Any]:
    """A good document for a connection with it."""
    sent = {"name": fresh("forge"), "provider": "gitlab", "base_url": known_forge().url, "token": TOKEN, **attributes}
    return document("vcs-connections", **sent)


def make_connection(api: httpx.Client, **attributes: Any) -> dict[str, Any]:
    """A connection with it, as the API shows it."""
    made: dict[str, Any] = data(api.post(f"{ORG}/vcs-connections", json=connection_document(**attributes)), 201)
    return made
