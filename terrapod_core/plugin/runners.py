"""Where phases run. A phase is the plan or the apply of one run, carried out by the runner program.

A backend starts that program somewhere and says whether it still lives. Everything else (configuration, variables, state,
log, report) goes between the program and the server over HTTP, in the phase's name.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol, TypeAlias, runtime_checkable

JSON: TypeAlias = "str | int | float | bool | Sequence[JSON] | Mapping[str, JSON] | None"
"""A value that JSON can carry."""

Handle: TypeAlias = Mapping[str, JSON]
"""What a backend needs to find a phase again, also after a restart of the server. It is stored: no secrets in it."""


UNDELIVERED_STATE: Final = "undelivered.tfstate"
"""A file of this name in the work directory is a state that the program could not hand in. A backend that keeps work
directories never removes it: it may be the only account of what an apply made."""


class LaunchFailed(Exception):
    """The program could not be started; nothing of it is left behind. The text is the run's error message."""


class LaunchPostponed(Exception):
    """The program cannot be started now, for a reason that passes by itself; nothing of it is left behind.

    The phase stays in the queue and is launched again, so that a backend whose machines are away for a while costs nobody a run.
    """


@dataclass(frozen=True)
class PhaseSpec:
    """A phase to run."""

    run_id: str
    phase_id: str
    """The id of the plan or apply."""
    phase: Literal["plan", "apply"]
    epoch: int
    """Counts the launches of this phase: the server hears only the latest."""
    url: str
    """Base of the server as the program reaches it."""
    token: str = field(repr=False)
    """Bearer token of this phase. It must not reach arguments, environment or disk, where terraform could read it."""
    certificate: str | None
    """PEM that the server shows and that the program trusts, exactly; `None` for plain HTTP or a public authority."""
    program: tuple[str, ...]
    """The runner program and its arguments, to be started where terrapod-core is installed."""
    engines_dir: str | None
    """Where terraform and tofu binaries are looked for first; `None` leaves `PATH`."""
    organization: str
    workspace: str
    """Names, for labels a person reads."""
    cpu: str | None = None
    """What the workspace asks for: processors (`0.5`, `500m`); `None` leaves it to the backend."""
    memory: str | None = None
    """Bytes, with a unit or without (`512Mi`, `2G`); `None` leaves it to the backend."""
    service_account: str | None = None
    """The cloud or cluster identity that the run's pool asks for; `None`: terraform gets none."""


@dataclass(frozen=True)
class PhaseState:
    """Whether the program lives. How the phase went is not the backend's to say: the program reports that itself."""

    running: bool
    detail: str
    """For people: `running`, `ended with exit code 1: …`."""
    waiting: bool = False
    """The place it is to run in is still made ready (a machine is found, an image fetched), so nobody can have heard of it yet.
    Its lease does not run out meanwhile: the backend says when it has waited for too long, by `running` being false. `detail` goes
    on from "The runner" (`waits: not scheduled: …`): people read it in the run's log.
    """


@runtime_checkable
class RunnerBackend(Protocol):
    """Starts, watches and ends runner programs.

    Every call with a handle is safe to repeat, and raises `ValueError` for a handle that this backend never makes. No call may take
    long: the core makes them one after another, and asks about every phase each second.
    """

    @property
    def name(self) -> str:
        """What `[runner] backend` says to choose it."""
        ...

    async def launch(self, phase: PhaseSpec) -> Handle:
        """Start the program. What an earlier launch for the same run left, dead or alive, is ended first.

        The program reads one JSON object from its standard input: `url`, `token`, `phase-id`, `run-id`, `certificate`,
        `work-dir`, `engines-dir`, `engines-cache`, `state-transport`, and `sandbox` where it shall keep terraform apart itself. It
        outlives the server. Raises `LaunchFailed`, or `LaunchPostponed` for what another try may mend.
        """
        ...

    async def poll(self, handle: Handle) -> PhaseState:
        """Whether it still runs; a phase that was forgotten does not.

        Where that cannot be asked at the moment (a machine is away) it counts as running, and `detail` says why it is not known:
        `running` being false ends the run, while a program that is gone is noticed by its lease all the same.
        """
        ...

    async def cancel(self, handle: Handle, *, force: bool) -> None:
        """Ask the program to stop; one that has ended has stopped.

        Without `force` terraform gets the interrupt of a Ctrl-C. With it terraform is killed, while the program may still
        hand in the state it holds; if the program cannot be reached, or has not ended some seconds later when asked again,
        everything that belongs to it is killed. What cannot be told now (a machine is away) the backend tells later: a forced cancel
        is asked for again every ten seconds, one without force is not.
        """
        ...

    async def forget(self, handle: Handle) -> None:
        """Remove what is left of a phase, on disk and among processes; nothing left is fine.

        Once it returned, it is not called again: what cannot be removed now, the backend removes later.
        """
        ...


@runtime_checkable
class SupportsCapacity(Protocol):
    """A backend that runs only so many phases at a time. Without it the core asks no limit."""

    @property
    def capacity(self) -> int:
        """How many phases may run at once; at least 1."""
        ...


@runtime_checkable
class SupportsFinding(Protocol):
    """A backend that can say which handle a launch had. Without it a phase whose server died before it kept the handle is lost
    only with its lease, and what it leaves is never forgotten.
    """

    async def find(self, run_id: str, phase_id: str, epoch: int) -> Handle | None:
        """The handle of exactly this launch, whether its program lives or not; `None` when it is not known."""
        ...


@runtime_checkable
class SupportsTidying(Protocol):
    """A backend that keeps something of each run on the machine, such as a directory, and finds what nobody remembers any more."""

    async def tidy(self, run_ids: Collection[str]) -> None:
        """Remove what is left of every run but these, on disk and among processes; a state that was not handed in stays.

        Called once, at the start of a listener, which has its machine to itself, before anything is launched.
        """
        ...


@runtime_checkable
class StaysInPlace(Protocol):
    """A backend whose programs can be seen and stopped only from where they were launched, such as processes of this machine.

    Without it every server of the installation asks about every phase. With it a server of another place never asks: it goes by the
    lease alone, and counts the phases of its own place for `capacity`.
    """

    @property
    def place(self) -> str:
        """Names the place; two processes have the same one exactly when each sees what the other launched."""
        ...


@runtime_checkable
class SupportsIsolation(Protocol):
    """A backend that says how far a phase is kept from the server and from other phases.

    Without it a backend counts as isolated by its nature (another machine, a container).
    """

    @property
    def isolation(self) -> Literal["none", "sandbox"]:
        """`none`: terraform runs as the server's own user, so only platform admins may run it. It may change by `self_test`."""
        ...

    @property
    def allow_unisolated_users(self) -> bool:
        """The operator accepts that everybody who runs terraform here can read what the server can."""
        ...


@runtime_checkable
class SupportsSelfTest(Protocol):
    """A backend that finds out by trying how far it can keep phases apart."""

    async def self_test(self) -> str | None:
        """Called once, at the start of a server or worker, before anything is launched. Why phases are not isolated, as the end
        of a sentence (shown by `/ready`, so without secrets); `None` when they are. Raises `SettingsError` to refuse the start.
        """
        ...


@runtime_checkable
class SharesNetwork(Protocol):
    """A backend whose phases use the network of this machine, and reach what listens on its loopback addresses."""

    @property
    def shared_network(self) -> Literal["refused", "accepted"]:
        """`accepted`: the operator knows what terraform can reach, and the server may be one for other machines."""
        ...
