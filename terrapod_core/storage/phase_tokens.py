"""The credential of the runner of one phase: it names a run, its plan or apply and a lease epoch, and nothing else.

It proves what it says without the database; whether the phase still belongs to that epoch is for the phase protocol to ask.
It never acts as the user who started the run.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from terrapod_core.clock import Clock
from terrapod_core.errors import Unauthorized
from terrapod_core.secrets import Keyring, Signer

PhaseName = Literal["plan", "apply"]

PREFIX: Final = "terrapod-phase-"
"""Makes a leaked token easy to find, and tells it from an API token before anything is looked up."""

_PHASES: Final[dict[int, PhaseName]] = {1: "plan", 2: "apply"}
_CODES: Final[dict[PhaseName, int]] = {"plan": 1, "apply": 2}
_HEAD: Final = struct.Struct(">BIQ8sB")
"""Phase, epoch, expiry in seconds since 1970, nonce, length of the run's id; the run's id and the phase's id follow."""


@dataclass(frozen=True)
class PhaseClaim:
    """What a verified phase token says."""

    run_id: str
    phase_id: str
    """Id of the plan or of the apply."""
    phase: PhaseName
    epoch: int
    """The lease the token was issued for; a phase with a higher one is no longer the holder's."""
    expires: datetime


class PhaseTokens:
    """Issues and verifies phase tokens."""

    def __init__(self, keyring: Keyring, clock: Clock) -> None:
        self._signer = Signer(keyring, "phase")
        self._clock = clock

    def issue(self, run_id: str, phase_id: str, phase: PhaseName, epoch: int, expires: datetime) -> str:
        """A new token, `terrapod-phase-…`; `expires` is aware and counts in whole seconds, rounded down."""
        run = run_id.encode()
        head = _HEAD.pack(_CODES[phase], epoch, int(expires.timestamp()), os.urandom(8), len(run))
        return PREFIX + self._signer.sign(head + run + phase_id.encode())

    def verify(self, token: str) -> PhaseClaim:
        """What the token claims. Raises `Unauthorized` for one that is not ours, was altered, or has expired."""
        payload = self._signer.read(token.removeprefix(PREFIX)) if token.startswith(PREFIX) else None
        if payload is None:
            raise Unauthorized("This is not a valid phase token.")
        phase, epoch, expires, _, length = _HEAD.unpack_from(payload)
        ends = datetime.fromtimestamp(expires, UTC)
        if ends <= self._clock.now():
            raise Unauthorized("This phase token has expired: the phase is over.")
        run, phase_id = payload[_HEAD.size : _HEAD.size + length], payload[_HEAD.size + length :]
        return PhaseClaim(run.decode(), phase_id.decode(), _PHASES[phase], epoch, ends)
