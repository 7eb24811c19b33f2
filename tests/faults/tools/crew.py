"""A lane whose runs are carried out by listeners, on the other side of a network that fails."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import psutil

from tests.faults.tools.experiments import Deed, Fault, Victim
from tests.faults.tools.lane import FaultServer, Lane, frightening, serving, settings_of
from tests.faults.tools.network import Network
from tests.faults.tools.victims import kill, left, of_run, stand_still
from tests.support.listeners import make_pool, make_token, to_pool
from tests.support.listening import Program
from tests.support.postgres import PostgresServer
from tests.support.server import Server

HEARD_SECONDS = 60.0


class Hand(Program):
    """A listener of such a lane."""

    listener_id = ""
    """As which it joined: it stays that one, whatever happens."""

    def __init__(self, directory: Path, server: Server, name: str, url: str, settings: Mapping[str, str]) -> None:
        super().__init__(directory, server, name, settings=settings)
        self.program = ("-P", str(Path(__file__).with_name("hurried_listener.py")))
        self.url = url

    @property
    def runs_in(self) -> Path:
        """Where its runners work."""
        return self.data / "runs"


class Crew(Lane):
    """A lane with a pool that has all of its runs."""

    def __init__(
        self, server: FaultServer, database: PostgresServer | None, transport: str, hands: Sequence[Hand], network: Network
    ) -> None:
        self.hands = hands
        self.network = network
        self.pool = str(make_pool(server.api)["id"])
        super().__init__(server, database, transport)
        for hand in hands:
            hand.start(make_token(server.api, self.pool))
            hand.listener_id = str(hand.identity["listener-id"])

    @property
    def title(self) -> str:
        """With how many listeners."""
        return f"{super().title}, {len(self.hands)} listener{'s' if len(self.hands) > 1 else ''}"

    def move(self) -> None:
        """Go on in a new workspace, whose runs are the pool's."""
        super().move()
        to_pool(self.server.api, self.workspace, self.pool)

    def processes(self, run_id: str) -> list[psutil.Process]:
        """Of a run, on whichever machine it is."""
        return [process for hand in self.hands for process in of_run(hand.runs_in, run_id)]

    def left(self, run_id: str) -> list[str]:
        """What a run that is over has left with any listener."""
        found = [each for hand in self.hands for each in left(hand.runs_in, run_id)]
        return [*found, *(f"{name} in hand of {hand.name}" for hand in self.hands for name in hand.in_hand)]

    def alarms(self) -> list[str]:
        """What the server or a listener said that frightens."""
        said = [f"the listener {hand.name} said: {line}" for hand in self.hands for line in frightening(hand.said())]
        return [*super().alarms(), *said]

    def standing(self) -> list[str]:
        """Listeners that are not there any more as those that they were: a new token would be needed."""
        found = []
        for hand in self.hands:
            if not hand.runs:
                found.append(f"the listener {hand.name} has ended: {hand.news[-2000:]}")
            elif hand.identity["listener-id"] != hand.listener_id:
                found.append(f"the listener {hand.name} has become another one")
            elif not self._is_heard(hand):
                found.append(f"the listener {hand.name} is not heard again")
        return found

    def _is_heard(self, hand: Hand) -> bool:
        """Whether there is a sign of life of it from now on."""
        end, known = time.monotonic() + HEARD_SECONDS, self._last_heard(hand)
        while self._last_heard(hand) == known:
            if time.monotonic() > end:
                return False
            time.sleep(0.1)
        return True

    def _last_heard(self, hand: Hand) -> str:
        return str(self.ask("GET", f"listeners/{hand.listener_id}")["attributes"]["last-ping-at"])

    # -- faults

    def strike(self, fault: Fault, hold: float, run_id: str, processes: list[psutil.Process]) -> None:
        """Do it, and undo what has to be undone."""
        match fault.victim:
            case Victim.LISTENER | Victim.LISTENERS_MACHINE:
                self._strike_listeners(fault, hold, run_id)
            case Victim.NETWORK:
                if fault.deed in (Deed.CUT, Deed.CUT_OFF):
                    self.network.cut()
                else:
                    self.network.silence()
                time.sleep(hold)
                self.network.mend()
            case _:
                super().strike(fault, hold, run_id, processes)

    def _strike_listeners(self, fault: Fault, hold: float, run_id: str) -> None:
        """Those that have the run, or all while none has it."""
        struck = [hand for hand in self.hands if of_run(hand.runs_in, run_id)] or self.hands
        if fault.deed in (Deed.STOP, Deed.STAND):
            stand_still([psutil.Process(hand.pid) for hand in struck], hold)
            return
        if fault.deed is Deed.RESTART:
            self._restart(struck)
            return
        for hand in struck:
            hand.kill()
            if fault.victim is Victim.LISTENERS_MACHINE:
                kill(of_run(hand.runs_in, run_id))
        self.put_forward(fault.deed)
        time.sleep(hold)
        for hand in struck:
            hand.begin()

    def _restart(self, struck: Sequence[Hand]) -> None:
        """As an operator would: it waits for what it runs, and so does who restarts it."""
        for hand in struck:
            hand.signal(signal.SIGTERM)
        for hand in struck:
            hand.wait()
            hand.begin()


@contextmanager
def open_agent_lane(directory: Path, number: int, *, sandbox: bool) -> Iterator[Lane]:
    """A started lane, as `open_lane` chooses it; every third pair has two listeners."""
    settings = settings_of(number, sandbox=sandbox)
    with ExitStack() as stack:
        server, database = stack.enter_context(serving(directory / "server", number, settings))
        network = stack.enter_context(closing(Network(server.port)))
        server.set("EXTERNAL_URL", network.url)
        server.start()
        names = ("one", "two") if number % 6 >= 4 else ("one",)
        hands = [stack.enter_context(closing(Hand(directory / name, server, name, network.url, settings))) for name in names]
        yield Crew(server, database, settings["RUNNER__LOCAL__STATE_TRANSPORT"], hands, network)
