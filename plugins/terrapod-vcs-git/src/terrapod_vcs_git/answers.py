"""What git says when it fails, as the errors of the contract. git speaks English here: it is started with `LC_ALL=C`."""

from __future__ import annotations

import re
from typing import Final

from terrapod_core.plugin import VCSDenied, VCSFailed, VCSMissing

SHOWN: Final = 200
"""Characters of what git said that an error repeats."""

_DENIED: Final = re.compile(r"Authentication failed for|could not read (Username|Password)|returned error: 40[13]|Permission denied \(")
_MISSING: Final = re.compile(
    r"repository '.*' not found|returned error: (404|410)|does not appear to be a git repository|[Rr]epository.* not found"
    r"|[Rr]epository.* does not exist|project you were looking for could not be found|DENIED by "
)
_NO_COMMIT: Final = re.compile(r"not our ref|couldn't find remote ref|bad object|not a valid object name")
_NOT_BY_SHA: Final = re.compile(r"does not allow request for unadvertised object|want [0-9a-f]+ not valid")
_NO_FILTER: Final = re.compile(r"filter '?[\w:]*'? not supported|filtering not")
_STATUS: Final = re.compile(r"returned error: (\d{3})")
_HOST_KEY: Final = re.compile(r"Host key verification failed|REMOTE HOST IDENTIFICATION HAS CHANGED")
_REASON: Final = re.compile(r"(?:unable to access '[^']*': |ssh: connect to host \S+ port \d+: |ssh: |fatal: |error: )(.*)")


class NotBySha(VCSFailed):
    """The server gives branches and tags, and no commit by its SHA alone."""


class NoFilter(VCSFailed):
    """The server wants to send everything, or nothing."""


def failure(host: str, said: str) -> Exception:
    """The error to raise for what git wrote when it failed."""
    if _HOST_KEY.search(said):
        return VCSFailed(
            f"{host}: showed a host key that is not among the connection's known-hosts. "
            f"Compare it with what the operator of {host} published, and set known-hosts anew when it is right."
        )
    if _NOT_BY_SHA.search(said):
        return NotBySha(f"{host}: gives nothing by its SHA")
    if _NO_FILTER.search(said):
        return NoFilter(f"{host}: does not leave out what is not needed")
    if _DENIED.search(said):
        return VCSDenied(
            f"{host} does not let these credentials read the repository. They are wrong or have ended, or lack the right to read it: "
            "give the connection others, or give them the right."
        )
    if _NO_COMMIT.search(said):
        return VCSMissing(f"{host} has no such commit in the repository.")
    if _MISSING.search(said):
        return VCSMissing(f"{host} has no such repository, or does not show it to these credentials.")
    status = _STATUS.search(said)
    if status is not None:
        hint = ": redirects are not followed, name the address it moved to" if status[1].startswith("3") else ""
        return VCSFailed(f"{host}: answered {status[1]}{hint}")
    return VCSFailed(f"{host}: {_reason(said)}")


def _reason(said: str) -> str:
    found = [_REASON.search(line) for line in said.splitlines()]
    reasons = [each[1].strip().rstrip(".") for each in found if each is not None and each[1].strip()]
    plain = "".join(each for each in (reasons[0] if reasons else "git failed without a word") if each.isprintable())
    return plain[:SHOWN]
