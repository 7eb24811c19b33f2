"""Starts runs over the API, as a program would, and sees them end."""

from __future__ import annotations

import time
from collections.abc import Collection

from tests.support.server import Server
from tests.support.waiting import until
from tests.support.wire import archive, document, ref
from tests.support.workspace import EVERY_OPERATION, OVER, data

LOOK_SECONDS = 1.0
END_SECONDS = 1800.0
PAGE = 100


class Asking:
    """Workspaces with one configuration each, and their runs."""

    def __init__(self, server: Server) -> None:
        self.api = server.api
        self._configurations: dict[str, str] = {}

    def workspace(self, name: str, configuration: str) -> str:
        """Make a workspace that has this configuration; its id."""
        workspace = str(data(self.api.post("organizations/default/workspaces", json=document("workspaces", name=name)))["id"])
        sent = document("configuration-versions", auto_queue_runs=False)
        version = data(self.api.post(f"workspaces/{workspace}/configuration-versions", json=sent))
        content = archive({"main.tf": configuration})
        headers = {"Content-Type": "application/octet-stream"}
        self.api.put(version["attributes"]["upload-url"], content=content, headers=headers).raise_for_status()
        self._configurations[workspace] = str(version["id"])
        return workspace

    def run(self, workspace: str, **attributes: object) -> str:
        """Start a run of its configuration; its id."""
        inputs = {
            "workspace": ref("workspaces", workspace),
            "configuration-version": ref("configuration-versions", self._configurations[workspace]),
        }
        return str(data(self.api.post("runs", json=document("runs", inputs, **attributes)))["id"])

    def log_link(self, run_id: str) -> str:
        """Where the log of its plan is read."""
        return str(data(self.api.get(f"runs/{run_id}/plan"))["attributes"]["log-read-url"])

    def end(self, run_id: str) -> str:
        """Wait until a run moves no more; its status."""

        def look() -> str | None:
            status = str(data(self.api.get(f"runs/{run_id}"))["attributes"]["status"])
            return status if status in OVER else None

        return until(look, f"{run_id} to end")

    def ends(self, run_ids: Collection[str]) -> list[str]:
        """Wait until all of these runs move no more; their statuses. Looks seldom: looking costs what is measured."""
        end = time.monotonic() + END_SECONDS
        while time.monotonic() < end:
            capacity = self.api.get("organizations/default/capacity").json()["data"]["attributes"]
            if not capacity["pending"] and not capacity["running"]:
                found = self._statuses()
                if all(found[run_id] in OVER for run_id in run_ids):
                    return [found[run_id] for run_id in run_ids]
            time.sleep(LOOK_SECONDS)
        raise AssertionError(f"{len(run_ids)} runs did not end within {END_SECONDS:g} s")

    def _statuses(self) -> dict[str, str]:
        found: dict[str, str] = {}
        number: int | None = 1
        while number is not None:
            params = {"page[size]": str(PAGE), "page[number]": str(number), "filter[operation]": EVERY_OPERATION}
            page = self.api.get("organizations/default/runs", params=params).json()
            found |= {run["id"]: run["attributes"]["status"] for run in page["data"]}
            number = page["meta"]["pagination"]["next-page"]
        return found
