"""Wake-ups as the rooms use them: who hears of which topic in this process, and how often to look when nobody is heard.

A wake-up is asked for in a unit of work and told after its commit: here at once, elsewhere by the backend. One that can tell
inside the transaction does, so that nobody is woken for what was not committed and nobody is forgotten between the two.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import structlog
from sqlalchemy import Executable

from terrapod_core.coordination.alone import Alone
from terrapod_core.plugin.coordination import CoordinationBackend, Wakeup

log = structlog.get_logger("terrapod.coordination")

Act = Callable[[str], None]
"""Is given the key; an empty one stands for everything."""


@runtime_checkable
class Carrying(Protocol):
    """A backend whose wake-ups travel with the transaction."""

    def statement(self, wakeups: Sequence[Wakeup]) -> Executable:
        """To be executed in the transaction that is to wake others with its commit."""
        ...


class Wakeups:
    """One per process, at its `Database`. Until `use` says otherwise, the process is alone."""

    def __init__(self) -> None:
        self.backend: CoordinationBackend = Alone()
        self._acts: dict[str, list[Act]] = defaultdict(list)
        self._enough: set[str] = set()

    def use(self, backend: CoordinationBackend) -> None:
        """Wake others by this, and hear them once it is started."""
        self.backend = backend

    def start(self) -> None:
        """Begin to hear others; returns at once."""
        self.backend.start(self._heard, self._turned)

    async def close(self) -> None:
        """Hear nobody any more."""
        await self.backend.close()

    def on(self, topic: str, act: Act, *, enough: bool = False) -> None:
        """Call `act(key)` for wake-ups of this topic, and with an empty key when some may have been lost. It returns at once.

        With `enough`, others need not be woken for what this process asks for.
        """
        self._acts[topic].append(act)
        if enough:
            self._enough.add(topic)

    def pace(self, often: float, seldom: float) -> Callable[[], float]:
        """How many seconds to let pass between looks that nothing has caused: `seldom` while all others are heard."""
        return lambda: seldom if self.hears else often

    @property
    def hears(self) -> bool:
        """Whether a change that another process makes is heard of."""
        return not isinstance(self.backend, Alone) and self.backend.trouble is None

    def carried(self, wakeups: Sequence[Wakeup]) -> Executable | None:
        """What tells others inside the transaction; `None` when there is nobody to tell, or nothing that can be told there."""
        told = self._for_others(wakeups)
        return self.backend.statement(told) if told and isinstance(self.backend, Carrying) else None

    def committed(self, wakeups: Sequence[Wakeup], here: Sequence[Wakeup]) -> None:
        """The transaction is there: tell others of `wakeups`, unless that was carried, and this process of those `here`."""
        told = self._for_others(wakeups)
        if told and not isinstance(self.backend, Carrying):
            self.backend.publish(told)
        for each in here:
            self._heard(each)

    def tell(self, *wakeups: Wakeup) -> None:
        """Tell others of what is in no transaction."""
        self.backend.publish(wakeups)

    def _for_others(self, wakeups: Sequence[Wakeup]) -> list[Wakeup]:
        return [each for each in wakeups if each.topic not in self._enough]

    def _heard(self, wakeup: Wakeup) -> None:
        for act in self._acts.get(wakeup.topic, ()):
            act(wakeup.key)

    def _turned(self) -> None:
        if (trouble := self.backend.trouble) is not None:
            log.warning("other servers are not heard, so everything is looked for by the clock", by=self.backend.name, reason=trouble)
        else:
            log.info("other servers are heard", by=self.backend.name)
        for topic in list(self._acts):
            self._heard(Wakeup(topic))
