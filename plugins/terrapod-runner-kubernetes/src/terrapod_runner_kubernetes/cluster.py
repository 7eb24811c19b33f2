"""The API of the cluster: the calls that are made, and what their failures mean.

lightkube makes its own HTTP client. The server's (`context.http`) trusts the operator's authorities; a cluster has one of its
own, and knows clients by certificates or by tokens that change in a file.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Final, cast

import httpx2
from lightkube import AsyncClient
from lightkube.config.kubeconfig import KubeConfig, SingleConfig
from lightkube.core.exceptions import ApiError, ConfigError
from lightkube.resources.batch_v1 import Job
from lightkube.resources.core_v1 import Event, Pod, Secret
from lightkube.types import CascadeType, PatchType

from terrapod_runner_kubernetes.settings import KubernetesRunnerSettings

ASK_SECONDS: Final = 10.0
LOG_LINES: Final = 20

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod finds its token, which changes; its namespace; and the authority of the cluster."""


class ClusterError(Exception):
    """A call failed; the text says how, for an operator."""


class Away(ClusterError):
    """The API cannot be reached, or cannot answer now: another try may do."""


class NotThere(ClusterError):
    """There is no such object."""


class Outdated(ClusterError):
    """A watch cannot go on from where it was (410 Gone): list anew."""


class Refused(ClusterError):
    """The cluster does not allow it, or does not understand it; another try is told the same."""


class Cluster:
    """One namespace of one cluster. Every call raises `ClusterError`."""

    def __init__(self, settings: KubernetesRunnerSettings) -> None:
        self._settings = settings
        self._client: AsyncClient | None = None

    @cached_property
    def config(self) -> SingleConfig:
        """Where the cluster is and who asks. Raises `Refused` where no configuration is found or it is none."""
        path = self._settings.kubeconfig
        where = "set runner.kubernetes.kubeconfig where the server is not in the cluster itself"
        try:
            known = KubeConfig.from_service_account(SERVICE_ACCOUNT) if path is None else KubeConfig.from_file(path)
            found = known.get(self._settings.context)
        except ConfigError as error:
            raise Refused(f"no cluster is configured: {error}; {where}") from error
        except (KeyError, TypeError, ValueError, OSError) as error:
            if path is None:
                raise Refused(f"this pod does not say where its cluster is: {type(error).__name__} {error}; {where}") from error
            raise Refused(f"the kubeconfig cannot be read: {type(error).__name__} {error}") from error
        assert found is not None, "lightkube raises where a context is missing"
        return found

    @property
    def namespace(self) -> str:
        """The one that Jobs are made in."""
        return self._settings.namespace or self.config.namespace

    @property
    def client(self) -> AsyncClient:
        """Made when it is first needed, in the event loop that uses it."""
        if self._client is None:
            try:
                # No proxy of the environment: the API is asked where the configuration says.
                self._client = AsyncClient(
                    config=self.config, namespace=self.namespace, timeout=httpx2.Timeout(ASK_SECONDS), trust_env=False
                )
            except (ConfigError, OSError, ValueError) as error:
                raise Refused(f"the cluster's configuration cannot be used: {error}") from error
        return self._client

    async def close(self) -> None:
        """Close the connections; the next call opens others."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def create_job(self, manifest: Mapping[str, Any]) -> Job:
        with self._asking("create", "jobs", "batch"):
            return await self.client.create(cast("Job", Job.from_dict(dict(manifest))))

    async def create_secret(self, manifest: Mapping[str, Any]) -> None:
        with self._asking("create", "secrets"):
            await self.client.create(cast("Secret", Secret.from_dict(dict(manifest))))

    async def get_job(self, name: str) -> Job:
        with self._asking("get", "jobs", "batch"):
            return await self.client.get(Job, name)

    async def suspend_job(self, name: str, *, suspend: bool) -> Job:
        """Let it start, or stop it: the pod of a suspended Job gets SIGTERM, and its own time to end."""
        with self._asking("patch", "jobs", "batch"):
            return await self.client.patch(Job, name, {"spec": {"suspend": suspend}}, patch_type=PatchType.MERGE)

    async def delete_job(self, name: str) -> None:
        with self._asking("delete", "jobs", "batch"):
            await self.client.delete(Job, name, cascade=CascadeType.BACKGROUND)

    async def delete_secret(self, name: str) -> None:
        with self._asking("delete", "secrets"):
            await self.client.delete(Secret, name)

    async def delete_pod(self, name: str, *, seconds: int) -> None:
        """SIGTERM now, SIGKILL after `seconds`; 0 forgets a pod whose node does not answer."""
        with self._asking("delete", "pods"):
            await self.client.delete(Pod, name, grace_period=seconds)

    async def jobs(self, labels: Mapping[str, str]) -> tuple[list[Job], str | None]:
        """The Jobs with these labels, and the version a watch goes on from."""
        with self._asking("list", "jobs", "batch"):
            found = self.client.list(Job, labels=dict(labels))
            jobs = [each async for each in found]
            return [each for each in jobs if matches(each, labels)], found.resourceVersion

    async def pods(self, labels: Mapping[str, str]) -> tuple[list[Pod], str | None]:
        """The pods with these labels, and the version a watch goes on from."""
        with self._asking("list", "pods"):
            found = self.client.list(Pod, labels=dict(labels))
            pods = [each async for each in found]
            return [each for each in pods if matches(each, labels)], found.resourceVersion

    async def watch_jobs(self, labels: Mapping[str, str], version: str | None, seconds: int) -> AsyncIterator[tuple[str, Job]]:
        """What changes after `version`, as (`ADDED`, `MODIFIED` or `DELETED`, the Job). Raises `Outdated` too."""
        with self._asking("watch", "jobs", "batch"):
            async for change in self.client.watch(Job, labels=dict(labels), resource_version=version, server_timeout=seconds):
                yield change

    async def watch_pods(self, labels: Mapping[str, str], version: str | None, seconds: int) -> AsyncIterator[tuple[str, Pod]]:
        """The same of pods."""
        with self._asking("watch", "pods"):
            async for change in self.client.watch(Pod, labels=dict(labels), resource_version=version, server_timeout=seconds):
                yield change

    async def log(self, pod: str, container: str) -> str:
        """The end of what a container wrote."""
        with self._asking("get", "pods/log"):
            return "".join([line async for line in self.client.log(pod, container=container, tail_lines=LOG_LINES)])

    async def warnings(self, job: str) -> list[str]:
        """What the cluster says went wrong with a Job, the latest last."""
        with self._asking("list", "events"):
            found = self.client.list(Event, fields={"involvedObject.name": job, "type": "Warning"})
            events = [each async for each in found if each.involvedObject.name == job and each.type == "Warning"]
        return [f"{each.reason}: {each.message}" for each in events]

    @contextmanager
    def _asking(self, verb: str, resource: str, group: str = "") -> Iterator[None]:
        try:
            yield
        except httpx2.HTTPStatusError as error:
            code, words = _told(error)
            raise _meant(code, words, f"{verb} {resource}{f' of the API group {group}' if group else ''}", self.namespace) from error
        except (httpx2.HTTPError, ConfigError, OSError, TimeoutError) as error:
            server = self.config.cluster.server
            raise Away(f"the API of the cluster at {server} cannot be reached: {type(error).__name__} {error}".rstrip()) from error


def matches(thing: Job | Pod, labels: Mapping[str, str]) -> bool:
    """Whether an object carries these labels."""
    carried = (thing.metadata.labels if thing.metadata is not None else None) or {}
    return all(carried.get(key) == value for key, value in labels.items())


def _told(error: httpx2.HTTPStatusError) -> tuple[int, str]:
    if isinstance(error, ApiError):
        return error.status.code or 0, error.status.message or error.status.reason or "no word why"
    try:
        words = str(error.response.json()["message"])
    except (httpx2.ResponseNotRead, ValueError, LookupError, TypeError):
        # A refused watch was not read, and a proxy in between writes what it likes.
        words = error.response.reason_phrase
    return error.response.status_code, words


def _meant(code: int, words: str, what: str, namespace: str) -> ClusterError:
    if code == 404:
        return NotThere(words)
    if code == 410:
        return Outdated(words)
    if code == 401:
        return Away(f"the cluster does not accept the server's credentials: {words}")
    if code == 403 and "exceeded quota" in words:
        return Away(f"the quota of the namespace {namespace} is used up: {words}")
    if code == 403:
        return Refused(f"the server may not {what} in the namespace {namespace}; let its role do so. The cluster says: {words}")
    if code == 429 or code >= 500:
        return Away(f"the API of the cluster answers {code}: {words}")
    return Refused(f"the cluster refuses to {what} in the namespace {namespace} ({code}): {words}")
