"""Runs, through the server's public API: made, found, looked at, confirmed and discarded in somebody's name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from terrapod_core.plugin import APIRefused, Caller, ServerAPI
from terrapod_sync.models import Sync
from terrapod_sync.policies import Mode

REFRESH: Final = "refresh"
_NEWEST: Final = 50
"""So many of a workspace's configurations are looked through; behind as many speculative ones nothing newer than the run's is seen."""
_ALL: Final = quote("plan_only,plan_and_apply,save_plan,refresh_only", safe="")


@dataclass(frozen=True)
class RunSeen:
    """A run, as far as a sync is concerned."""

    id: str
    status: str
    has_changes: bool
    configuration_id: str | None
    plan_id: str
    error: str | None


class RunsAPI:
    """Raises `APIRefused` for whatever the one in whose name it is may not do, or the run does not allow."""

    def __init__(self, api: ServerAPI) -> None:
        self._api = api

    async def make(self, sync: Sync, caller: Caller) -> str:
        """A run for the sync, whose message holds its id; the run's id."""
        attributes: dict[str, Any] = {"message": f"Sync ({sync.cause}) {sync.id}"}
        attributes |= {"plan-only": True} if sync.mode == Mode.OBSERVE else {"save-plan": True}
        if sync.mode == REFRESH:
            attributes["refresh-only"] = True
        workspace = {"data": {"type": "workspaces", "id": sync.workspace_id}}
        document = {"data": {"type": "runs", "attributes": attributes, "relationships": {"workspace": workspace}}}
        made: str = (await self._api.post("/api/v2/runs", document, as_=caller))["data"]["id"]
        return made

    async def find(self, sync: Sync, caller: Caller) -> str | None:
        """The run that was made for the sync, when nobody came to note it."""
        path = f"/api/v2/workspaces/{sync.workspace_id}/runs?filter%5Boperation%5D={_ALL}&search%5Bbasic%5D={sync.id}&page%5Bsize%5D=1"
        for each in (await self._api.get(path, as_=caller))["data"]:
            attributes = each["attributes"]
            if attributes["message"].endswith(sync.id) and attributes["trigger-reason"] == "sync":
                return str(each["id"])
        return None

    async def show(self, run_id: str, caller: Caller) -> RunSeen:
        """How it stands."""
        run = (await self._api.get(f"/api/v2/runs/{run_id}", as_=caller))["data"]
        attributes, relationships = run["attributes"], run["relationships"]
        return RunSeen(
            id=run["id"],
            status=attributes["status"],
            has_changes=bool(attributes["has-changes"]),
            configuration_id=_id(relationships.get("configuration-version")),
            plan_id=_id(relationships.get("plan")) or "",
            error=attributes["error-message"],
        )

    async def confirm(self, run_id: str, caller: Caller, comment: str | None = None) -> None:
        """Let its plan be applied."""
        await self._api.post(f"/api/v2/runs/{run_id}/actions/apply", {"comment": comment} if comment else None, as_=caller)

    async def discard(self, run_id: str, caller: Caller, comment: str) -> bool:
        """Give up its plan; one that is over already, or gone, stays as it is. Not so when the caller may not."""
        try:
            await self._api.post(f"/api/v2/runs/{run_id}/actions/discard", {"comment": comment}, as_=caller)
        except APIRefused as refusal:
            if refusal.http_status not in (403, 404, 409):
                raise
            return refusal.http_status != 403
        return True

    async def discarded_by_somebody(self, run_id: str, caller: Caller) -> bool:
        """Whether a person gave up a discarded run; else the server did, as its state had moved."""
        events = (await self._api.get(f"/api/v2/runs/{run_id}/run-events", as_=caller))["data"]
        ends = [each for each in events if each["attributes"]["action"] == "discarded"]
        return not ends or _id(ends[-1]["relationships"].get("actor")) is not None

    async def configuration_of(self, workspace_id: str, caller: Caller) -> str | None:
        """The configuration that a run takes which names none: the newest that is uploaded, and neither speculative nor provisional."""
        path = f"/api/v2/workspaces/{workspace_id}/configuration-versions?page%5Bsize%5D={_NEWEST}"
        for each in (await self._api.get(path, as_=caller))["data"]:
            attributes = each["attributes"]
            if attributes["status"] == "uploaded" and not attributes["speculative"] and not attributes["provisional"]:
                return str(each["id"])
        return None


def _id(relationship: dict[str, Any] | None) -> str | None:
    data = (relationship or {}).get("data")
    return data["id"] if data else None
