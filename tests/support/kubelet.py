"""A cluster of Kubernetes on paper: kmock keeps its objects, and one loop plays Job controller, scheduler and node.

It knows of both what the published API says and no more: a suspended or deleted Job's pods get SIGTERM and their grace, a pod's
program is a process of this machine that reads its order from the Secret, and a Job is Complete or Failed when its pod is.
Containers, mounts and users it does not play: no program here runs in an image.
"""

# ruff: noqa: ASYNC220 - nobody waits for the event loop of a test

from __future__ import annotations

import asyncio
import collections
import contextlib
import itertools
import json
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from kmock import KubernetesEmulator, KubernetesError, ResourceInfo, Server, action, resource

from terrapod_core.clock import SystemClock

JOBS, PODS, SECRETS, EVENTS = (resource(each) for each in ("batch/v1/jobs", "v1/pods", "v1/secrets", "v1/events"))
NAMESPACE = "runs"
UNSCHEDULABLE = "0/3 nodes are available: 3 Insufficient memory."


class LateClock(SystemClock):
    """The time of day, and as much as a test adds."""

    late = timedelta(0)

    def now(self) -> datetime:
        return super().now() + self.late


class PaperCluster(KubernetesEmulator):
    """The emulator, with what it lacks: selectors, uids, times, versions, refusals, and watches that break."""

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        self.numbers = itertools.count(1)
        self._buses: Any = collections.defaultdict(lambda: Changes(self.numbers))
        self.forbidden: set[tuple[str, str]] = set()
        """(verb, resource) that the role of the server lacks."""
        self.broken: int | None = None
        """A status that everything is answered with."""
        self.bearer: str | None = None
        """The only token that is accepted; `None`: whoever asks is."""
        self.gone: set[str] = set()
        """Versions that watches cannot go on from."""
        self.watched: list[tuple[str, str | None]] = []
        """Each watch: of what, and from which version."""
        self.cut = asyncio.Event()
        """Set, it breaks the watches that stand, and all that are opened."""
        self.asked: list[tuple[str, str, str]] = []
        """Each request of the server: verb, resource, label selector."""
        self.graces: list[str] = []
        """The seconds that pods were given to end by who deleted them."""
        self.bodies: list[str] = []
        """All that was ever written, but Secrets."""
        self.log = "nothing was logged\n"
        """What every container wrote."""
        for each in (JOBS, PODS, SECRETS, EVENTS):
            self.resources[each] = ResourceInfo(namespaced=True)

    async def _handle(self, request: Any) -> Any:
        if request.resource is not None:
            self._refuse(request)
            if request.resource != SECRETS:
                self.bodies.append(request.text)
            if request.action is action.CREATE:
                number = next(self.numbers)
                made = {"uid": f"uid-{number}", "creationTimestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
                request.data["metadata"] = {**made, "namespace": request.namespace, **request.data["metadata"]}
            if request.action in (action.CREATE, action.UPDATE):
                request.data.setdefault("metadata", {})["resourceVersion"] = str(next(self.numbers))
        return await super()._handle(request)

    def _refuse(self, request: Any) -> None:
        verb = {"FETCH": "get", "UPDATE": "patch"}.get(request.action.value, request.action.value.lower())
        what = request.resource.plural + (f"/{request.subresource}" if request.subresource else "")
        if request.headers.get("X-Kubelet") is None:
            if (verb, what) == ("delete", "pods"):
                self.graces.append(str(request.params.get("gracePeriodSeconds") or (request.data or {}).get("gracePeriodSeconds")))
            self.asked.append((verb, what, request.params.get("labelSelector", "")))
        if request.headers.get("X-Kubelet") is None and self.bearer not in (
            None,
            request.headers.get("Authorization", "").removeprefix("Bearer "),
        ):
            raise KubernetesError(status=401, reason="Unauthorized", message="Unauthorized", details={})
        if self.broken is not None and request.headers.get("X-Kubelet") is None:
            raise KubernetesError(status=self.broken, reason="Broken", message="etcdserver: leader changed", details={})
        if (verb, what) in self.forbidden:
            words = f'{what} is forbidden: User "system:serviceaccount:terrapod:terrapod" cannot {verb} resource "{what}"'
            raise KubernetesError(status=403, reason="Forbidden", message=words, details={})

    async def _serve_fetch(self, request: Any) -> Any:
        return self.log.encode() if request.subresource == "log" else await super()._serve_fetch(request)

    async def _serve_list(self, request: Any) -> Any:
        version = str(next(self.numbers))
        answer: Any = await super()._serve_list(request)
        answer["metadata"]["resourceVersion"] = version
        answer["items"] = [each for each in answer["items"] if chosen(request, each)]
        return answer

    async def _serve_watch(self, request: Any) -> AsyncIterator[Any]:
        version = request.params.get("resourceVersion")
        self.watched.append((request.resource.plural, version))
        if version in self.gone:
            yield failure(410, "too old resource version")
            return
        yield b""
        changes, sent = self._buses[request.resource], 0
        while not self.cut.is_set():
            news = changes.events[sent:]
            sent += len(news)
            for number, event in news:
                if number > int(version or 0) and chosen(request, event["object"]):
                    yield event
            await asyncio.sleep(0.01)
        yield failure(500, "etcdserver: no leader")


def failure(code: int, message: str) -> dict[str, Any]:
    """How a watch ends that cannot go on."""
    return {"type": "ERROR", "object": {"kind": "Status", "status": "Failure", "code": code, "message": message}}


class Changes:
    """All that happened to objects of one kind. kmock's own loses what happens while a watch is opened."""

    def __init__(self, numbers: Iterator[int]) -> None:
        self.numbers = numbers
        self.events: list[tuple[int, dict[str, Any]]] = []

    async def put(self, event: dict[str, Any]) -> None:
        metadata = dict(event["object"]["metadata"])
        if event["type"] == "DELETED":
            metadata["resourceVersion"] = str(next(self.numbers))
        self.events.append((int(metadata["resourceVersion"]), {**event, "object": {**event["object"], "metadata": metadata}}))


def chosen(request: Any, thing: Mapping[str, Any]) -> bool:
    """Whether the label selector takes it; only `key=value` is written here."""
    labels = thing.get("metadata", {}).get("labels", {})
    wanted = [each.split("=") for each in request.params.get("labelSelector", "").split(",") if each]
    return all(labels.get(key) == value for key, value in wanted)


class Vanished(Exception):
    """Somebody deleted the object meanwhile; the next round sees that."""


class Kubelet:
    """Starts and stops the programs of pods; `program` is what the image has in place of the runner."""

    def __init__(self, cluster: PaperCluster, program: Sequence[str], *, grace: float = 5.0) -> None:
        self.cluster = cluster
        self.program = list(program)
        self.grace = grace
        self.answers = True
        """False: the nodes are cut off."""
        self.schedules = True
        """False: no node takes the pod."""
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._made: set[str] = set()
        self._told: dict[str, float] = {}
        self._ended: set[str] = set()

    @contextlib.asynccontextmanager
    async def at_work(self) -> AsyncIterator[Kubelet]:
        """While the block runs; what it started ends with it."""
        work = asyncio.create_task(self._work())
        try:
            yield self
            assert not work.done(), work.exception()
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            for name in self.processes.keys() - self._ended:
                self.processes[name].kill()
                self.processes[name].communicate()

    async def _work(self) -> None:
        while True:
            if self.answers:
                jobs = {job["metadata"]["uid"]: job for job in self._there(JOBS)}
                for uid, job in jobs.items():
                    with contextlib.suppress(Vanished):
                        await self._begin(uid, job)
                for pod in self._there(PODS):
                    with contextlib.suppress(Vanished):
                        await self._tend(pod, jobs.get(pod["metadata"]["ownerReferences"][0]["uid"]))
            await asyncio.sleep(0.01)

    def _there(self, what: Any) -> list[Mapping[str, Any]]:
        """The objects of a kind that are not deleted."""
        return [each.raw for (kind, _, _), each in list(self.cluster.objects.items()) if kind == what and not each.deleted]

    async def _begin(self, uid: str, job: Mapping[str, Any]) -> None:
        """Make the one pod of a Job."""
        finished = any(each["status"] == "True" for each in job.get("status", {}).get("conditions", []))
        if uid in self._made or finished or job["spec"]["suspend"]:
            return
        template, name = job["spec"]["template"], job["metadata"]["name"]
        metadata = {
            **template["metadata"],
            "name": f"{name}-{uid}",
            "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": uid}],
            "finalizers": ["batch.kubernetes.io/job-tracking"],
        }
        await self._send("post", "pods", {"metadata": metadata, "spec": template["spec"], "status": {"phase": "Pending"}})
        self._made.add(uid)

    async def _tend(self, pod: Mapping[str, Any], job: Mapping[str, Any] | None) -> None:
        """Bring a pod a step further; `job` is its own, or none once that was deleted."""
        name = pod["metadata"]["name"]
        stop = job is None or job["spec"]["suspend"] or "deletionTimestamp" in pod["metadata"]
        if name not in self.processes:
            await self._start(name, pod, wanted=not stop)
        elif name not in self._ended:
            await self._watch(name, pod, job, stop=stop)
        elif stop:
            await self._drop(name)

    async def _start(self, name: str, pod: Mapping[str, Any], *, wanted: bool) -> None:
        if not wanted:
            await self._drop(name)
            return
        if not self.schedules:
            no = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": UNSCHEDULABLE}
            if pod["status"].get("conditions") != [no]:
                await self._status("pods", name, {"phase": "Pending", "conditions": [no]})
            return
        volume = next(each["secret"]["secretName"] for each in pod["spec"]["volumes"] if "secret" in each)
        order = self.cluster.objects[SECRETS, NAMESPACE, volume].raw["stringData"]["order.json"]
        process = subprocess.Popen(self.program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.processes[name] = process
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(order.encode())
            process.stdin.close()
        process.stdin = None
        await self._status("pods", name, {"phase": "Running", "containerStatuses": [container({"running": {}})]})

    async def _watch(self, name: str, pod: Mapping[str, Any], job: Mapping[str, Any] | None, *, stop: bool) -> None:
        process, now = self.processes[name], asyncio.get_running_loop().time()
        if stop and name not in self._told:
            process.terminate()
            self._told[name] = now
        elif stop and now - self._told[name] > self.grace and "deletionTimestamp" in pod["metadata"]:
            process.kill()
        code = process.poll()
        if code is None:
            return
        self._ended.add(name)
        words = process.communicate()[0].decode()
        ended = container({"terminated": {"exitCode": code if code >= 0 else 128 - code, "message": words}})
        await self._status("pods", name, {"phase": "Failed" if code else "Succeeded", "containerStatuses": [ended]})
        if job is not None and not job["spec"]["suspend"]:
            condition = {"type": "Failed" if code else "Complete", "status": "True", "reason": "BackoffLimitExceeded" if code else "Done"}
            await self._status("jobs", job["metadata"]["name"], {"conditions": [condition]})

    async def _drop(self, name: str) -> None:
        await self._send("patch", f"pods/{name}", {"metadata": {"finalizers": []}})
        await self._send("delete", f"pods/{name}", None)

    async def _status(self, plural: str, name: str, status: Mapping[str, Any]) -> None:
        await self._send("patch", f"{plural}/{name}", {"status": status})

    async def _send(self, method: str, path: str, body: Mapping[str, Any] | None) -> None:
        group = "apis/batch/v1" if path.startswith("jobs") else "api/v1"
        address = f"/{group}/namespaces/{NAMESPACE}/{path}"
        headers = {"X-Kubelet": "1", "Content-Type": "application/merge-patch+json" if method == "patch" else "application/json"}
        async with self.cluster.clients[0].request(method, address, data=json.dumps(body) if body else None, headers=headers) as answer:
            if answer.status == 404:
                raise Vanished(path)
            answer.raise_for_status()


def container(state: Mapping[str, Any]) -> dict[str, Any]:
    """The status of the runner's container."""
    return {"name": "runner", "image": "runner", "imageID": "", "ready": True, "restartCount": 0, "state": state}


@contextlib.asynccontextmanager
async def paper_cluster(directory: Path) -> AsyncIterator[tuple[PaperCluster, Path]]:
    """A cluster at an address of its own, and a kubeconfig for it."""
    async with PaperCluster() as cluster, Server(cluster):
        path = directory / "kubeconfig"
        path.write_text(
            json.dumps(
                {
                    "clusters": [{"name": "paper", "cluster": {"server": str(cluster.url).rstrip("/")}}],
                    "users": [{"name": "terrapod", "user": {"token": "token-of-the-server"}}],
                    "contexts": [{"name": "paper", "context": {"cluster": "paper", "user": "terrapod", "namespace": NAMESPACE}}],
                    "current-context": "paper",
                }
            )
        )
        yield cluster, path
