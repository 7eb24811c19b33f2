"""Starts runner programs on other machines.

Nothing is kept here that a restart may not lose: the hosts say what they have. What a host that is away was to be told it is told
when it is back; if the server is started anew before that, the host removes what is left by itself after `keep_days`.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final, Literal

from terrapod_core.plugin import Handle, LaunchFailed, LaunchPostponed, PhaseSpec, PhaseState, SettingsError
from terrapod_runner_ssh.host import Away, Host, HostError, Launch
from terrapod_runner_ssh.settings import SshRunnerSettings

FRESH_SECONDS: Final = 2.0
"""What a host said counts for this long, before it is asked again."""

WAIT_SECONDS: Final = 5.0
"""How long a call waits for a host of which nothing was heard yet, or that is to do something."""


class SshRunner:
    """A `RunnerBackend` of several machines. Handles are `{"host", "run", "phase", "epoch"}`."""

    def __init__(self, settings: SshRunnerSettings, *, log: logging.Logger) -> None:
        self._settings = settings
        self._log = log
        self._hosts = {name: Host(name, host, settings, log) for name, host in settings.hosts.items()}

    @property
    def name(self) -> str:
        return "ssh"

    @property
    def capacity(self) -> int:
        return max(1, sum(host.places for host in self._hosts.values()))

    @property
    def isolation(self) -> Literal["none", "sandbox"]:
        return self._settings.isolation

    @property
    def allow_unisolated_users(self) -> bool:
        return self._settings.allow_unisolated_users

    async def self_test(self) -> str | None:
        if self._settings.missing is not None:
            raise SettingsError(f"{self._settings.missing}, for runner.backend is ssh")
        await asyncio.gather(*(self._tell(host) for host in self._hosts.values()))
        return None if self._settings.isolation == "sandbox" else "runner.ssh.isolation is none"

    # -- starting

    async def launch(self, phase: PhaseSpec) -> Handle:
        if self._settings.missing is not None:
            raise LaunchFailed(self._settings.missing)
        if phase.service_account is not None:
            raise LaunchFailed(f"hosts reached by SSH have no service account {phase.service_account!r}; take it off the agent pool")
        launch = Launch(phase.run_id, phase.phase_id, phase.epoch)
        there = await self._cleared(launch)
        for host in sorted(there, key=lambda each: each.places - there[each], reverse=True):
            if await self._started(host, launch, phase):
                return {"host": host.name, **launch.arguments}
        away = [host.trouble for host in self._hosts.values() if host.trouble is not None]
        raise LaunchPostponed("; ".join(["every place of the hosts is taken" if there else "no host can be used", *away]))

    async def _cleared(self, launch: Launch) -> dict[Host, int]:
        """The hosts that answer, each with how many programs live there; of this run none has anything any more.

        A host that is away may have an earlier launch of the run: the server hears only the latest one, whatever the others do.
        """
        asked = [host for host in self._hosts.values() if not host.rests]
        answers = await asyncio.gather(*(host.ask([("clear", {"run": launch.run})]) for host in asked), return_exceptions=True)
        there: dict[Host, int] = {}
        for host, answer in zip(asked, answers, strict=True):
            if isinstance(answer, HostError):
                continue
            if isinstance(answer, BaseException):
                raise answer
            living = answer[0].get("answer")
            if not isinstance(living, int):
                raise LaunchPostponed(f"the host {host.name} cannot end what it has of this run: {answer[0].get('problem')}")
            host.drop(launch.run)
            there[host] = living
        return there

    async def _started(self, host: Host, launch: Launch, phase: PhaseSpec) -> bool:
        """Start it on this host; `False` when it has no place."""
        arguments = {"places": host.places, "program": list(self._settings.program), "order": self._order(phase)}
        try:
            (result,) = await host.ask([("start", {**launch.arguments, **arguments})])
        except HostError as error:
            # It may have heard all the same. No other host is tried: two programs of one launch would both be believed.
            host.order("forget", launch)
            raise (LaunchPostponed if isinstance(error, Away) else LaunchFailed)(str(error)) from error
        if "problem" in result:
            raise LaunchFailed(f"the host {host.name} cannot start the runner program: {result['problem']}")
        if result.get("answer") is not True:
            return False
        host.began(launch)
        return True

    def _order(self, phase: PhaseSpec) -> dict[str, Any]:
        """What the program reads from its standard input; the host adds where it works."""
        settings = self._settings
        sandbox = {
            "program": settings.bubblewrap,
            "user": settings.engine_user,
            "readable": list(settings.readable),
            "disable-userns": settings.disable_userns,
        }
        return {
            "url": phase.url,
            "token": phase.token,
            "phase-id": phase.phase_id,
            "run-id": phase.run_id,
            "certificate": phase.certificate,
            "engines-dir": settings.engines_dir,
            "state-transport": settings.state_transport,
            "sandbox": sandbox if settings.isolation == "sandbox" else None,
        }

    # -- looking

    async def poll(self, handle: Handle) -> PhaseState:
        name, launch = _read(handle)
        host = self._hosts.get(name)
        if host is None:
            return PhaseState(False, f"its host {name} is none of the settings any more")
        if host.is_ordered("forget", launch):
            return PhaseState(False, "forgotten")
        now = asyncio.get_running_loop().time()
        if launch not in host.known:
            await self._tell(host)
        elif not host.rests and not host.is_heard_since(now - FRESH_SECONDS):
            host.look()  # the next poll has what it says
        known = host.known.get(launch)
        if known is not None:
            running, detail = known
            old = host.trouble if running else None
            return PhaseState(running, detail if old is None else f"{detail} when last heard of: {old}")
        if host.trouble is None and host.is_heard_since(now):
            return PhaseState(False, f"the host {name} knows nothing of it")
        return PhaseState(True, f"not known: {host.trouble or f'the host {name} has not answered yet'}")

    async def find(self, run_id: str, phase_id: str, epoch: int) -> Handle | None:
        launch = Launch(run_id, phase_id, epoch)
        await asyncio.gather(*(self._tell(host) for host in self._hosts.values()))
        for host in self._hosts.values():
            if launch in host.known and not host.is_ordered("forget", launch):
                return {"host": host.name, **launch.arguments}
        return None

    # -- ending

    async def cancel(self, handle: Handle, *, force: bool) -> None:
        name, launch = _read(handle)
        host = self._hosts.get(name)
        if host is not None and not host.is_ordered("forget", launch):
            host.order("stop", launch, force=force)
            await self._tell(host)

    async def forget(self, handle: Handle) -> None:
        name, launch = _read(handle)
        host = self._hosts.get(name)
        if host is not None:
            host.order("forget", launch)
            await self._tell(host)

    async def close(self) -> None:
        """Ask nothing more. Programs go on."""
        await asyncio.gather(*(host.close() for host in self._hosts.values()))

    @staticmethod
    async def _tell(host: Host) -> None:
        """Let a host have its orders and say what it has, if it can be reached, but wait no longer than is fair to others."""
        if not host.rests:
            await asyncio.wait([host.look(anew=True)], timeout=WAIT_SECONDS)


def _read(handle: Handle) -> tuple[str, Launch]:
    """A handle's host and launch; `ValueError` for one that this backend did not make."""
    host, run, phase, epoch = (handle.get(name) for name in ("host", "run", "phase", "epoch"))
    if not (isinstance(host, str) and isinstance(run, str) and isinstance(phase, str) and isinstance(epoch, int)):
        raise ValueError("this is no handle of the SSH runner: it needs host, run, phase and epoch")
    return host, Launch(run, phase, epoch)
