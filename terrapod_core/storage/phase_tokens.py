"""The two credentials of one phase: the supervisor's for the phase protocol, the engine's for reading state.

Each names a run, its plan or apply and a lease epoch, and nothing else. It proves what it says without the database; whether the
phase still belongs to that epoch is for whoever it is shown to. Neither acts as the user who started the run, and neither opens
what the other opens: their signatures have keys of their own.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, Literal

from terrapod_core.clock import Clock
from terrapod_core.errors import Unauthorized
from terrapod_core.secrets import Keyring, Signer

PhaseName = Literal["plan", "apply"]


class Holder(StrEnum):
    """Who holds a token of a phase. The value names its key."""

    SUPERVISOR = "phase"
    """The runner program: it carries the phase out, and keeps the token from everything it starts."""
    ENGINE = "engine"
    """terraform, and with it whatever code a configuration brings along."""


PREFIXES: Final[dict[Holder, str]] = {Holder.SUPERVISOR: "terrapod-phase-", Holder.ENGINE: "terrapod-engine-"}
"""Make a leaked token easy to find, and tell it from an API token before anything is looked up."""

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
    """Issues and verifies the tokens of phases."""

    def __init__(self, keyring: Keyring, clock: Clock) -> None:
        self._signers = {holder: Signer(keyring, holder.value) for holder in Holder}
        self._clock = clock

    def issue(
        self, run_id: str, phase_id: str, phase: PhaseName, epoch: int, expires: datetime, *, holder: Holder = Holder.SUPERVISOR
    ) -> str:
        """A new token, `terrapod-phase-…` or `terrapod-engine-…`; `expires` is aware and counts in whole seconds, rounded down."""
        run = run_id.encode()
        head = _HEAD.pack(_CODES[phase], epoch, int(expires.timestamp()), os.urandom(8), len(run))
        return PREFIXES[holder] + self._signers[holder].sign(head + run + phase_id.encode())

    def issue_engine(self, claim: PhaseClaim) -> str:
        """The engine's token beside the supervisor's one that said this."""
        return self.issue(claim.run_id, claim.phase_id, claim.phase, claim.epoch, claim.expires, holder=Holder.ENGINE)

    def verify(self, token: str, *, holder: Holder = Holder.SUPERVISOR) -> PhaseClaim:
        """What the token claims. Raises `Unauthorized` for one that is not ours, is another holder's, was altered, or has expired."""
        prefix = PREFIXES[holder]
        payload = self._signers[holder].read(token.removeprefix(prefix)) if token.startswith(prefix) else None
        if payload is None:
            raise Unauthorized("This is not a valid phase token.")
        phase, epoch, expires, _, length = _HEAD.unpack_from(payload)
        ends = datetime.fromtimestamp(expires, UTC)
        if ends <= self._clock.now():
            raise Unauthorized("This phase token has expired: the phase is over.")
        run, phase_id = payload[_HEAD.size : _HEAD.size + length], payload[_HEAD.size + length :]
        return PhaseClaim(run.decode(), phase_id.decode(), _PHASES[phase], epoch, ends)
