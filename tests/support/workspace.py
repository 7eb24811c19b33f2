"""A workspace on a server, together with a directory that terraform has initialised for it."""

from __future__ import annotations

import re
from typing import Any

import httpx

from tests.support.server import Server
from tests.support.tf import Done, Terraform, words
from tests.support.waiting import until

_RUN_ID = re.compile(r"\brun-[A-Za-z0-9]{16}\b")
EVERY_OPERATION = "plan_only,plan_and_apply,save_plan,refresh_only,destroy"
OVER = ("applied", "planned_and_finished", "planned_and_saved", "discarded", "canceled", "errored")


class Workspace:
    """What the API says about the workspace, beside the terraform that works in it."""

    def __init__(self, tf: Terraform, name: str) -> None:
        self.tf = tf
        self.server: Server = tf.server
        self.name = name
        self.id: str = self.show()["id"]

    # -- the workspace

    def show(self) -> dict[str, Any]:
        """Its resource object as it is now."""
        return data(self.server.api.get(f"organizations/default/workspaces/{self.name}"))

    @property
    def attributes(self) -> dict[str, Any]:
        """Its attributes as they are now."""
        return dict(self.show()["attributes"])

    def update(self, **attributes: object) -> None:
        """Change settings; underscores become dashes."""
        changed = {name.replace("_", "-"): value for name, value in attributes.items()}
        data(self.server.api.patch(f"workspaces/{self.id}", json={"data": {"type": "workspaces", "attributes": changed}}))

    def lock(self) -> None:
        """Lock it, as the admin."""
        data(self.server.api.post(f"workspaces/{self.id}/actions/lock", json={"reason": "a person looks around"}))

    def unlock(self) -> None:
        """Unlock it, as the admin."""
        data(self.server.api.post(f"workspaces/{self.id}/actions/unlock"))

    def set_variable(self, key: str, value: str, *, category: str = "terraform", hcl: bool = False, sensitive: bool = False) -> str:
        """Make a variable; its id."""
        attributes = {"key": key, "value": value, "category": category, "hcl": hcl, "sensitive": sensitive}
        body = {"data": {"type": "vars", "attributes": attributes}}
        return str(data(self.server.api.post(f"workspaces/{self.id}/vars", json=body))["id"])

    # -- its state

    def state(self) -> dict[str, Any]:
        """The current state, decoded; without resources when there is none."""
        answer = self.server.api.get(f"workspaces/{self.id}/current-state-version")
        if answer.status_code == 404:
            return {"serial": 0, "resources": [], "outputs": {}}
        raw = self.server.api.get(data(answer)["attributes"]["hosted-state-download-url"], follow_redirects=True)
        assert raw.status_code == 200, raw.text
        return dict(raw.json())

    # -- its runs

    def run(self, run_id: str) -> dict[str, Any]:
        """One run as it is now."""
        return data(self.server.api.get(f"runs/{run_id}"))

    def run_of(self, done: Done) -> dict[str, Any]:
        """The run whose link a command printed."""
        found = _RUN_ID.search(done.output)
        assert found, f"no run in:\n{done.output}"
        return self.run(found[0])

    def newest_run(self) -> dict[str, Any] | None:
        """The latest of its runs."""
        # Runs that only plan are left out of the list unless they are asked for.
        runs = self.server.api.get(f"workspaces/{self.id}/runs", params={"filter[operation]": EVERY_OPERATION}).json()["data"]
        return dict(runs[0]) if runs else None

    def run_that(self, *statuses: str) -> dict[str, Any]:
        """Wait until the newest run has one of these statuses."""

        def look() -> dict[str, Any] | None:
            run = self.newest_run()
            return run if run is not None and run["attributes"]["status"] in statuses else None

        return until(look, f"a run of {self.name} to be {' or '.join(statuses)}")

    def end_of(self, run_id: str) -> str:
        """Wait until the run moves no more; its status."""

        def look() -> str | None:
            status = str(self.run(run_id)["attributes"]["status"])
            return status if status in OVER else None

        return until(look, f"{run_id} to end")

    def log(self, run: dict[str, Any], phase: str) -> str:
        """The whole log of a run's `plan` or `apply`, as running text."""
        return words(self.raw_log(run, phase).decode().strip("\x02\x03"))

    def raw_log(self, run: dict[str, Any], phase: str) -> bytes:
        """The same as it is served."""
        document = data(self.server.api.get(f"runs/{run['id']}/{phase}"))
        link, log = document["attributes"]["log-read-url"], b""
        while True:
            page = {"limit": 65536, "offset": len(log)}
            answer = httpx.get(link, params=page, verify=self.server.trust, trust_env=False)
            assert answer.status_code == 200, answer.text
            if not answer.content:
                return log
            log += answer.content


def data(answer: httpx.Response) -> dict[str, Any]:
    """The resource object of an answer that must be a success."""
    assert answer.is_success, f"{answer.request.method} {answer.request.url} -> {answer.status_code}: {answer.text}"
    return dict(answer.json()["data"])
