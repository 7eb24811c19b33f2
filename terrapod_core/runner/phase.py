"""One phase from claim to report: the steps that plan and apply share, and the one place where every ending is turned into a report."""

from __future__ import annotations

import os
import socket
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Generic, TypeVar

from terrapod_core import __version__

from . import engines, environment, size, uses, workdir
from .cached_engines import CachedEngines, platform
from .client import Server
from .failures import Interrupted, PhaseFailed, PhaseGone, Refused
from .interruption import Interruption
from .lines import PlainLines, StructuredLines
from .log import PhaseLog
from .loopback import LoopbackBackend
from .masking import Masker, secrets_of
from .notes import note
from .order import EngineAccess, Material, Order
from .process import capture, stream
from .results import Counts, StructuredTally, Tally
from .room import Room, SandboxedRoom
from .state_file import StateFile
from .states import NoState, StateKeeper
from .unpack import unpack

T = TypeVar("T")

REPORTED, GONE, REFUSED = 0, 3, 4
"""Exit statuses of the program: the server has the report; the phase was not ours any more; the server refused to hear it."""
INIT_OUTPUT = 1 << 20
"""Bytes of `init`'s output kept to be shown when it fails."""


@dataclass(frozen=True)
class Outcome:
    """How a phase ended, as the report says it."""

    status: str
    message: str | None = None
    exit_code: int | None = None
    has_changes: bool = False
    counts: Counts = field(default_factory=Counts)
    generated: bool = False
    state_incomplete: bool = False
    """Whether the newest state may lack something that an apply did."""

    def document(self, log_size: int) -> dict[str, object]:
        return {
            "status": self.status,
            "has-changes": self.has_changes,
            "additions": self.counts.additions,
            "changes": self.counts.changes,
            "destructions": self.counts.destructions,
            "imports": self.counts.imports,
            "state-incomplete": self.state_incomplete,
            "generated-configuration": self.generated,
            "exit-code": self.exit_code,
            "message": self.message,
            "log-size": log_size,
        }


class Background(Generic[T]):
    """Runs a function beside the caller; `result` waits, and raises what it raised."""

    def __init__(self, function: Callable[[], T]) -> None:
        self._value: list[T] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(function,), daemon=True)
        self._thread.start()

    def _run(self, function: Callable[[], T]) -> None:
        try:
            self._value.append(function())
        except BaseException as error:  # noqa: BLE001  # handed to the one who waits
            self._error = error

    def result(self) -> T:
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._value[0]


class Phase:
    """The tools of one phase. `place`, `relative`, `engine` and `var_files` are set by `gather`."""

    place: Path
    """The working directory in the configuration."""
    relative: Path
    """The same from the configuration's root on."""
    engine: engines.Engine
    var_files: tuple[Path, ...]

    def __init__(self, order: Order, material: Material, server: Server, interruption: Interruption) -> None:
        self.order = order
        self.material = material
        self.server = server
        self.interruption = interruption
        self.room = Room(order.work_dir) if order.sandbox is None else SandboxedRoom(order.work_dir, order.sandbox)
        self.layout = self.room.layout
        self.keeper = StateKeeper(self.layout.states, server, accepts=material.phase == "apply")
        self.tally: Tally | StructuredTally = StructuredTally() if material.structured else Tally()
        self.uses: Mapping[str, object] | None = None
        """What `init` found of the server's registry; `None` while that is not known."""
        self.changing = False
        """Set while the engine may be changing things: whatever ends the phase then, the state may lack what was done."""
        secrets = [(item.value, item.hcl) for item in (*material.variables, *material.environment) if item.sensitive]
        if material.engine_access is not None:
            secrets.append((material.engine_access.token, False))
        masker = Masker(secrets_of(secrets))
        self.log = PhaseLog(
            self.layout.phase / "log",
            server,
            lines=StructuredLines(masker) if material.structured else PlainLines(masker),
            limit=material.limits.log_bytes,
            hear=interruption.hear,
        )
        self._announced = False
        self.state_file: StateFile | None = None
        self._prepare_environment()

    def _prepare_environment(self) -> None:
        seen = self.layout.seen
        own = environment.base(
            os.environ, home=seen(self.layout.home), temporary=self.room.temporary, cli_config=seen(self.layout.cli_config)
        )
        access = self.material.engine_access
        passed, self._notes = environment.of_workspace(self.material.environment, self.order.url, self._token_hosts(access))
        if (self.material.transport or self.order.transport) == "file":
            self.state_file = StateFile(self.layout.engine / "terraform.tfstate", self.keeper)
            backend = {}
        else:
            backend = LoopbackBackend(self.keeper).environment
        self.reading_env = own | backend
        """For commands that only read the plan: none of the workspace's variables, and no token."""
        self.env = own | passed | environment.run_facts(self.material) | backend
        if access is not None:
            self.env["TF_CLI_CONFIG_FILE"] = str(seen(self.layout.engine_config))
            if self.order.certificate is not None:
                self.layout.trust.mkdir(mode=0o700)
                workdir.write_new(self.layout.trust / "server.pem", self.order.certificate)
                self.env |= environment.trusting(self.env, seen(self.layout.trust))

    def _token_hosts(self, access: EngineAccess | None) -> tuple[str, ...]:
        """The hosts to which the engine shows its own token, and no other."""
        return (*access.hosts, *self.material.mirrored_hosts) if access is not None else ()

    def gather(self) -> None:
        """Fetch and unpack what the phase works on, while the engine is looked for; then make the directory ready."""
        choosing = Background(self._choose_engine)
        try:
            self._fetch()
        finally:
            self.engine = choosing.result()
            self.announce(self.engine.title, self.engine.platform)
        self.interruption.check()
        self.place = workdir.enter(self.layout.configuration, self.material.working_directory)
        self.relative = self.place.relative_to(os.path.realpath(self.layout.configuration))
        workdir.clean(self.place)
        workdir.write_override(self.place, self.layout.seen(self.state_file.path) if self.state_file else None)
        self._write_cli_configs()
        self.var_files = workdir.write_variables(self.layout.given, self.material.variables)
        if self.state_file is not None:
            self.state_file.begin()
        self._give()

    def _write_cli_configs(self) -> None:
        config = workdir.cli_config()
        if self.material.vendored_providers and (addresses := workdir.vendored_addresses(self.place)):
            place = self.layout.seen(self.layout.configuration) / self.relative
            config = workdir.cli_config(place / workdir.VENDORED, addresses)
        workdir.write_new(self.layout.cli_config, config)
        if self.material.engine_access is not None:
            access = self.material.engine_access
            mirrored = self.material.mirrored_hosts
            workdir.write_engine_config(self.layout.engine_config, config, access, mirrored, self._mirror_url(access))

    def _mirror_url(self, access: EngineAccess) -> str:
        """Where the engine reaches the server: as this program does, unless that is by a certificate whose name may be another."""
        if self.order.certificate is None:
            return self.order.url
        return next((base or f"https://{host}" for host, base in access.hosts.items()), self.order.url)

    def _give(self) -> None:
        """From here on what the engine may read and write is the engine's."""
        layout = self.layout
        self.room.give(layout.configuration, layout.given, layout.engine, layout.temporary, layout.shared_memory, layout.cli_config)
        if self.material.phase == "apply":
            self.room.give(layout.plan_file)

    def _choose_engine(self) -> engines.Engine:
        cached = CachedEngines(self.server, self.order.engines_cache, platform(), self.interruption) if self.material.cached else None
        found = engines.find(
            self.material.tool,
            self.material.version,
            engines_dir=self.order.engines_dir,
            search_path=self.env["PATH"],
            interruption=self.interruption,
            cached=cached,
        )
        self.server.post("/started", {"tool": found.tool, "version": found.version, "platform": found.platform})
        return found

    def _fetch(self) -> None:
        archive = self.layout.phase / "configuration.tar.gz"
        state = self.layout.states / "given.json"
        if not self.server.download("/configuration", archive):
            raise PhaseFailed("The server has no configuration for this run.")
        if self.server.download("/state", state) and state.stat().st_size:
            try:
                self.keeper.begin_with(state)
            except NoState as error:
                raise PhaseFailed(f"The state the server sent cannot be used: {error}.") from error
        elif self.material.has_state:
            # Going on would plan to create everything once more.
            raise PhaseFailed("The workspace has a state, but the server did not send it.")
        if self.material.phase == "apply" and not self.server.download("/plan-file", self.layout.plan_file):
            raise PhaseFailed("The server has no saved plan for this run: plan again.")
        self.interruption.check()
        unpack(archive, self.layout.configuration, self.material.limits)
        archive.unlink()

    def announce(self, title: str, platform: str) -> None:
        """The three lines every log starts with: the CLI swallows the first three of an apply without looking at them."""
        if not self._announced:
            self._announced = True
            self.log.say("\n".join((title, f"on {platform}", "Initializing plugins and modules...", *self._notes)))

    def init(self, *flags: str, show_failure: bool = True) -> int:
        """`init` with our backend; its output is shown only when it fails. The exit status. Raises `Interrupted`, `PhaseGone`."""
        output = bytearray()

        def keep(chunk: bytes) -> None:
            output.extend(chunk)
            del output[:-INIT_OUTPUT]

        code = self.run(("init", "-input=false", "-reconfigure", *flags, *self.var_flags()), keep)
        if code == 0:
            workdir.check_backend(self.place, "http" if self.state_file is None else "local")
            # Now: what runs later could write something else there.
            access = self.material.engine_access
            self.uses = uses.read(self.place, access.hosts) if access is not None else None
        elif show_failure:
            self.log.write(bytes(output))
            raise PhaseFailed("Initialization failed; the log says why.", said=True, exit_code=code)
        return code

    def run(self, arguments: Sequence[str], sink: Callable[[bytes], None]) -> int:
        """Run the engine in the working directory with the workspace's environment; nothing starts once the run was cancelled."""
        self.interruption.check()
        size.check((str(self.engine.path), *arguments), self.env)
        start = self.room.carrying_out(self.engine, arguments, relative=self.relative, env=self.env)
        code = stream(start, interruption=self.interruption, sink=sink)
        if self.interruption.gone is not None and code != 0:
            raise self.interruption.gone
        if self.interruption.requested and arguments[0] != "apply":
            raise Interrupted(exit_code=code)
        return code

    def read(self, arguments: Sequence[str], into: Path, *, network: bool) -> tuple[int, str]:
        """Run a command that reads the plan, without the workspace's variables; its output into a file of ours, as `capture`."""
        start = self.room.reading(self.engine, arguments, relative=self.relative, env=self.reading_env, network=network)
        return capture(start, interruption=self.interruption, into=into)

    def show(self, chunk: bytes) -> None:
        """The sink of commands whose output is the log."""
        self.tally.feed(chunk)
        self.log.write(chunk)

    def format_flags(self) -> tuple[str, ...]:
        """How plan and apply shall print."""
        return ("-json",) if self.material.structured else ()

    def var_flags(self) -> tuple[str, ...]:
        return tuple(f"-var-file={self.layout.seen(path)}" for path in self.var_files)

    def work(self) -> Outcome:
        """Plan or apply; every ending but `PhaseGone` becomes an outcome."""
        from .apply import apply
        from .plan import plan

        try:
            return plan(self) if self.material.phase == "plan" else apply(self)
        except PhaseFailed as failure:
            return self._canceled(Interrupted()) if self.interruption.requested else self._failed(failure)
        except Refused as refused:
            return self._failed(PhaseFailed(f"The server refused a part of this phase: {refused.detail}"))
        except Interrupted as interrupted:
            return self._canceled(interrupted)
        except PhaseGone:
            raise
        except Exception as error:  # noqa: BLE001  # whatever it is, the run must end and say so
            traceback.print_exc()
            return self._failed(PhaseFailed(f"The runner failed: {type(error).__name__}; its own output says where."))

    def _failed(self, failure: PhaseFailed) -> Outcome:
        self._announce_late()
        if not failure.said:
            self.log.say(f"\nError: {failure.message}")
        return Outcome("errored", failure.message, failure.exit_code, counts=self._done(), state_incomplete=self.changing)

    def _canceled(self, interrupted: Interrupted) -> Outcome:
        self._announce_late()
        self.log.say(f"\n{interrupted.message}")
        return Outcome("canceled", interrupted.message, interrupted.exit_code, counts=self._done(), state_incomplete=self.changing)

    def _done(self) -> Counts:
        """What an apply did before it broke off; a plan does nothing."""
        return self.tally.counts if self.changing else Counts()

    def _announce_late(self) -> None:
        wanted = self.material
        self.announce(f"{engines.TITLES.get(wanted.tool or 'terraform')} ({wanted.version})", platform())

    def finish(self, outcome: Outcome) -> int:
        """Wait for the state and the log to arrive, then report; the program's exit status. Raises `PhaseGone`."""
        problem = self.keeper.finish()
        if problem is not None:
            if self.interruption.gone is not None:
                raise self.interruption.gone
            kept = self.layout.root / workdir.UNDELIVERED  # put there when the phase is closed
            message = f"The server refused the state: {problem}. It is kept on {socket.gethostname()} in {kept}."
            self.log.say(f"\nError: {message}")
            outcome = replace(outcome, status="errored", message=message, state_incomplete=True)
        size = self.log.close()
        try:
            self.server.post("/report", {**outcome.document(size), "uses": self.uses})
        except Refused as refused:
            note(f"the server refused the report: {refused.detail}")
            return REFUSED
        return REPORTED

    def close(self) -> None:
        """Leave nothing behind but a state that nobody took."""
        kept = self.keeper.keep_undelivered(self.layout.root)
        if kept is not None:
            note(f"the newest state was not delivered; it is kept in {kept}")
        self.room.close()
        self.layout.clear()


def carry_out(order: Order, interruption: Interruption) -> int:
    """Claim the phase, do it, report it; the program's exit status."""
    server = Server(order.url, order.token, order.phase_id, certificate=order.certificate, on_gone=interruption.abandon)
    try:
        claimed = server.hold("/claim", {"runner": f"{socket.gethostname()} {os.getpid()}", "version": __version__})
    except (PhaseGone, Refused) as error:
        note(f"the phase cannot be claimed: {error}")
        return GONE if isinstance(error, PhaseGone) else REFUSED
    try:
        material = Material.parse(claimed)
        if material.traceparent is not None:
            server.follow(material.traceparent)
        _renew(server, interruption, material.renew_seconds)
        phase = Phase(order, material, server, interruption)
    except (PhaseFailed, OSError) as error:
        return _report_unstarted(server, f"The runner cannot start this phase: {error}")
    try:
        return phase.finish(phase.work())
    except PhaseGone as gone:
        note(f"the phase is gone: {gone.message}")
        phase.keeper.finish()
        return GONE
    finally:
        phase.close()


def _report_unstarted(server: Server, message: str) -> int:
    try:
        server.post("/report", Outcome("errored", message).document(0))
    except (PhaseGone, Refused) as error:
        note(f"{message}; and the server did not take the report: {error}")
        return GONE
    return REPORTED


def _renew(server: Server, interruption: Interruption, seconds: float) -> None:
    """Keep the lease for as long as the program lives."""

    def keep_renewing() -> None:
        pause = threading.Event()
        while not pause.wait(seconds):
            try:
                interruption.hear(server.hold("/renew", {}).get("cancel"))
            except PhaseGone:
                return
            except Refused as refused:
                note(f"the server refused to renew the lease: {refused.detail}")

    threading.Thread(target=keep_renewing, name="lease", daemon=True).start()
