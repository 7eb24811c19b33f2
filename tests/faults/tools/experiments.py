"""Which runs are made, and what is done to whom, when: all of it follows from a seed."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from tests.faults.tools.served import CERTIFICATE_LIFE, LEASE, PAUSE_SECONDS

SHORT = (0.2, 2.5)
LONG = (LEASE.total_seconds() + 2, LEASE.total_seconds() + 5)
"""Seconds that somebody stands still or is away; the second is longer than the lease."""


class Victim(StrEnum):
    """Whom it hits."""

    SERVER = "server"
    RUNNER = "runner"
    TERRAFORM = "terraform"
    DATABASE = "database"
    MACHINE = "machine"
    """The server, the runner and terraform at once, as when the power fails."""
    EVERYTHING = "machine and database"
    """The same, with a database on the same machine."""
    LISTENER = "listener"
    """The program alone: the runners that it has started go on."""
    LISTENERS_MACHINE = "listener's machine"
    """The listener, the runner and terraform at once."""
    NETWORK = "network"
    """Between the server and everything that a listener's machine runs."""


ON_DATABASE = frozenset({Victim.DATABASE, Victim.EVERYTHING})
"""What only befalls a lane with a database server."""


class Deed(StrEnum):
    """What is done to it."""

    KILL = "kill -9"
    AWAY = "kill -9, long away"
    STOP = "SIGSTOP, short"
    STAND = "SIGSTOP, long"
    RESTART = "restart"
    CUT = "cut, short"
    CUT_OFF = "cut, long"
    """What is open is reset, and what is new is refused."""
    SILENT = "silent, short"
    SILENCED = "silent, long"
    """What is sent on a connection that was open then never arrives, and nobody is told."""
    TEN_MINUTES = "away for ten minutes"
    EXPIRED = "away until certificates have expired"
    """Both by the server's clock, which is put forward meanwhile."""


ON_PROCESS = (Deed.KILL, Deed.AWAY, Deed.STOP, Deed.STAND, Deed.RESTART)
LONG_DEEDS = frozenset({Deed.AWAY, Deed.STAND, Deed.CUT_OFF, Deed.SILENCED})
FORWARD = {Deed.TEN_MINUTES: timedelta(minutes=10), Deed.EXPIRED: CERTIFICATE_LIFE + timedelta(minutes=10)}
"""By how much the clock is put forward."""


class Kind(StrEnum):
    """What the run is."""

    PLAN = "plan only"
    AUTO = "auto-apply"
    CONFIRMED = "confirmed"


class Moment(StrEnum):
    """What has to happen before the delay begins."""

    QUEUED = "queued"
    PLANNING = "planning"
    GOING_ON = "going on"
    """The plan is done and its apply is ordered: it may be launched, claimed, or begun at any moment."""
    APPLYING = "applying"


@dataclass(frozen=True)
class Fault:
    """Something bad that happens."""

    victim: Victim
    deed: Deed
    moment: Moment | None = None
    """When alone, where chance would bring it there too seldom."""

    @property
    def is_long(self) -> bool:
        """Whether it lasts longer than a lease."""
        return self.deed in LONG_DEEDS


FAULTS = [
    *(Fault(Victim.SERVER, deed) for deed in ON_PROCESS),
    *(Fault(Victim.RUNNER, deed) for deed in (Deed.KILL, Deed.STOP, Deed.STAND)),
    *(Fault(Victim.TERRAFORM, deed) for deed in (Deed.KILL, Deed.STOP, Deed.STAND)),
    *(Fault(Victim.DATABASE, deed) for deed in ON_PROCESS),
    Fault(Victim.MACHINE, Deed.KILL),
    Fault(Victim.EVERYTHING, Deed.KILL),
    *(Fault(victim, Deed.KILL, Moment.GOING_ON) for victim in (Victim.SERVER, Victim.RUNNER, Victim.MACHINE, Victim.DATABASE)),
    *(Fault(victim, Deed.KILL, Moment.APPLYING) for victim in (Victim.MACHINE, Victim.EVERYTHING)),
    *(Fault(Victim.DATABASE, deed, Moment.APPLYING) for deed in (Deed.RESTART, Deed.KILL)),
]
"""With the server's own runner."""

AGENT_FAULTS = [
    *(Fault(Victim.LISTENER, deed) for deed in ON_PROCESS),
    *(Fault(victim, deed) for victim in (Victim.RUNNER, Victim.TERRAFORM) for deed in (Deed.KILL, Deed.STOP, Deed.STAND)),
    *(Fault(Victim.LISTENERS_MACHINE, deed) for deed in (Deed.KILL, Deed.AWAY)),
    *(Fault(Victim.NETWORK, deed) for deed in (Deed.CUT, Deed.CUT_OFF, Deed.SILENT, Deed.SILENCED)),
    *(Fault(victim, deed) for victim in (Victim.SERVER, Victim.DATABASE) for deed in ON_PROCESS),
    *(Fault(victim, deed) for victim in (Victim.SERVER, Victim.DATABASE, Victim.LISTENER) for deed in FORWARD),
    *(Fault(victim, Deed.KILL, Moment.GOING_ON) for victim in (Victim.LISTENER, Victim.LISTENERS_MACHINE, Victim.SERVER)),
    *(Fault(Victim.NETWORK, deed, Moment.GOING_ON) for deed in (Deed.CUT, Deed.SILENT)),
    *(Fault(Victim.SERVER, deed, Moment.APPLYING) for deed in FORWARD),
    *(Fault(Victim.NETWORK, deed, Moment.APPLYING) for deed in (Deed.CUT_OFF, Deed.SILENT)),
]
"""With listeners."""


@dataclass(frozen=True)
class Experiment:
    """One run and one fault. Seconds."""

    number: int
    attempt: int
    fault: Fault
    kind: Kind
    resources: int
    plan_seconds: float
    resource_seconds: float
    moment: Moment
    delay: float
    hold: float
    """How long the victim is away or stands still."""

    @property
    def key(self) -> str:
        """Its name in its configuration."""
        return f"e{self.number}-{self.attempt}"

    @property
    def names(self) -> list[str]:
        """Of its resources, each made after the one before."""
        return [f"r{number}" for number in range(self.resources)]

    def __str__(self) -> str:
        return (
            f"#{self.number}: {self.fault.victim} {self.fault.deed} (for {self.hold:.1f} s), {self.delay:.2f} s after {self.moment}; "
            f"{self.kind}, {self.resources} resources"
        )


def experiment(seed: int, number: int, fault: Fault, attempt: int = 0) -> Experiment:
    """The experiment of that number. Another attempt has the same fault at another moment, for the first came too late."""
    chance = random.Random(f"{seed}/{number}/{attempt}")
    kind = chance.choices([Kind.PLAN, Kind.AUTO, Kind.CONFIRMED], [1 if fault.moment is None else 0, 4, 2])[0]
    moments = [Moment.QUEUED, Moment.PLANNING] if kind is Kind.PLAN else list(Moment)
    resources, seconds = chance.randint(1, 4), chance.uniform(0.1, 0.6)
    moment = fault.moment or chance.choice(moments)
    longest = {
        Moment.QUEUED: 0.8,
        Moment.PLANNING: 1.2,
        Moment.GOING_ON: 2 * PAUSE_SECONDS + 0.4,
        Moment.APPLYING: resources * seconds + 0.3,
    }[moment]
    return Experiment(
        number=number,
        attempt=attempt,
        fault=fault,
        kind=kind,
        resources=resources,
        plan_seconds=chance.uniform(0.1, 0.8),
        resource_seconds=seconds,
        moment=moment,
        delay=chance.uniform(0, longest) / (1 + attempt),
        hold=chance.uniform(*(LONG if fault.is_long else SHORT)),
    )
