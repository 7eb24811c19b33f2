"""What is known of our Jobs and pods: listed once, then kept by two watches that go on from where they were."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Final, Generic, TypeVar

from lightkube.resources.batch_v1 import Job
from lightkube.resources.core_v1 import Pod

from terrapod_runner_kubernetes.cluster import ASK_SECONDS, Away, Cluster, ClusterError, Outdated

WATCH_SECONDS: Final = 240
"""How long the cluster is asked to keep a watch open; one whose other end vanished is given up a little later."""

COLLECT_SECONDS: Final = 600
"""How often Jobs are looked through for such as nobody removed."""

LONGEST_PAUSE: Final = 30.0

T = TypeVar("T", Job, Pod)


class Pause:
    """Grows from failure to failure: 0.5 s to half a minute."""

    def __init__(self) -> None:
        self._seconds = 0.0

    def reset(self) -> None:
        """It worked."""
        self._seconds = 0.0

    def next(self) -> float:
        """Seconds to wait after a failure."""
        self._seconds = min(LONGEST_PAUSE, self._seconds * 2 or 0.5)
        return self._seconds


class Kept(Generic[T]):
    """The objects of one kind by name, as the cluster last told them."""

    def __init__(
        self,
        what: str,
        list_all: Callable[[], Awaitable[tuple[list[T], str | None]]],
        watch: Callable[[str | None, int], AsyncIterator[tuple[str, T]]],
        log: logging.Logger,
        changed: Callable[[T], None],
    ) -> None:
        self._what = what
        self._list: Callable[[], Awaitable[tuple[list[T], str | None]]] = list_all
        self._watch: Callable[[str | None, int], AsyncIterator[tuple[str, T]]] = watch
        self._log = log
        self._changed: Callable[[T], None] = changed
        self._version: str | None = None
        self.known: dict[str, T] = {}
        self.trouble: str | None = None
        """Why the cluster is not heard at the moment."""
        self.listed = asyncio.Event()
        """Set once they were listed for the first time."""

    async def keep(self) -> None:
        """List and watch until cancelled."""
        pause = Pause()
        while True:
            try:
                if self._version is None:
                    await self._list_anew()
                await self._follow(pause)
            except Outdated:
                self._version = None
                await asyncio.sleep(pause.next())
            except ClusterError as error:
                if self.trouble != str(error):
                    self._log.warning("%s are not watched at the moment: %s", self._what, error)
                self.trouble = str(error)
                if not isinstance(error, Away):
                    self._version = None
                await asyncio.sleep(pause.next())

    async def _list_anew(self) -> None:
        found, self._version = await self._list()
        self.known = {_name(each): each for each in found}
        self._is_heard()
        self.listed.set()
        for each in found:
            self._changed(each)

    async def _follow(self, pause: Pause) -> None:
        # A watch says nothing while nothing changes: one that has stood for longer than a call may take is heard.
        stands = asyncio.get_running_loop().call_later(ASK_SECONDS + 1, self._is_heard)
        try:
            async with asyncio.timeout(WATCH_SECONDS + 30):
                async for kind, each in self._watch(self._version, WATCH_SECONDS):
                    pause.reset()
                    self._is_heard()
                    self._take(kind, each)
        except TimeoutError:
            return
        finally:
            stands.cancel()

    def _take(self, kind: str, each: T) -> None:
        if kind == "DELETED":
            self.known.pop(_name(each), None)
        else:
            self.known[_name(each)] = each
            self._changed(each)
        if each.metadata is not None and each.metadata.resourceVersion is not None:
            self._version = each.metadata.resourceVersion

    def _is_heard(self) -> None:
        if self.trouble is not None:
            self._log.info("%s are watched again", self._what)
        self.trouble = None


class Watching:
    """Our Jobs and pods. It begins with the first question, and ends with the event loop."""

    def __init__(
        self,
        cluster: Cluster,
        labels: Mapping[str, str],
        log: logging.Logger,
        pod_changed: Callable[[Pod], None],
        collect: Callable[[], Awaitable[None]],
    ) -> None:
        self._cluster = cluster
        self._collect = collect
        self.jobs: Kept[Job] = Kept(
            "Jobs", lambda: cluster.jobs(labels), lambda version, seconds: cluster.watch_jobs(labels, version, seconds), log, lambda _: None
        )
        self.pods: Kept[Pod] = Kept(
            "pods", lambda: cluster.pods(labels), lambda version, seconds: cluster.watch_pods(labels, version, seconds), log, pod_changed
        )
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Watch from now on, if nobody does yet."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._keep(), name="kubernetes-watch")

    async def end(self) -> None:
        """Watch no longer, and close the connections."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    @property
    def trouble(self) -> str | None:
        """Why what is known may be old; `None` when it is not."""
        return self.jobs.trouble or self.pods.trouble

    @property
    def is_listed(self) -> bool:
        """Whether the cluster has ever said what it has."""
        return self.jobs.listed.is_set() and self.pods.listed.is_set()

    async def _keep(self) -> None:
        try:
            async with asyncio.TaskGroup() as together:
                together.create_task(self.jobs.keep())
                together.create_task(self.pods.keep())
                together.create_task(self._tidy())
        finally:
            await self._cluster.close()

    async def _tidy(self) -> None:
        while True:
            await asyncio.sleep(COLLECT_SECONDS)
            await self._collect()


def _name(thing: Job | Pod) -> str:
    assert thing.metadata is not None, "whatever the cluster keeps has a name"
    assert thing.metadata.name is not None, "whatever the cluster keeps has a name"
    return thing.metadata.name
