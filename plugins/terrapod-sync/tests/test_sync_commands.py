"""`terrapod sync`, against a server that writes down what it is asked."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from terrapod_sync.commands import sync

PRODUCTION = {
    "name": "production",
    "sync_enabled": True,
    "last_sync": "2025-10-13T14:00:00Z",
    "status": "success",
    "next_sync": "2025-10-13T14:10:00Z",
}
NEW = {"name": "a-new-one", "sync_enabled": False, "last_sync": None, "status": "disabled", "next_sync": None}


class Server:
    """Answers what it was told to, by method and path."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self.answers = answers
        self.asked: list[tuple[str, Any]] = []

    async def ask(self, method: str, path: str, document: Mapping[str, Any] | None = None) -> dict[str, Any]:
        self.asked.append((f"{method} {path}", document))
        answer = self.answers[f"{method} {path}"]
        if isinstance(answer, Exception):
            raise answer
        found: dict[str, Any] = answer
        return found

    @asynccontextmanager
    async def client(self, **options: object) -> AsyncIterator[Server]:
        yield self


def call(server: Server, *arguments: str, given: str | None = None) -> Result:
    return CliRunner().invoke(sync, arguments, obj=server, input=given)


def test_all_workspaces_stand_in_a_table() -> None:
    done = call(Server({"GET /v1/terraform/sync/workspaces": {"workspaces": [NEW, PRODUCTION]}}), "status")
    assert done.output.splitlines() == [
        "WORKSPACE   STATUS    LAST SYNC             NEXT SYNC",
        "a-new-one   disabled  -                     -",
        "production  success   2025-10-13T14:00:00Z  2025-10-13T14:10:00Z",
    ]


def test_without_workspaces_it_says_so() -> None:
    done = call(Server({"GET /v1/terraform/sync/workspaces": {"workspaces": []}}), "status")
    assert done.output == "no workspaces that you may read\n"


def test_one_workspace_is_told_in_detail() -> None:
    server = Server({"GET /v1/terraform/sync/workspaces/default/production": {**PRODUCTION, "conflicts": ["conflict-1"]}})
    assert call(server, "status", "default/production").output.splitlines() == [
        "name: production",
        "sync_enabled: true",
        "last_sync: 2025-10-13T14:00:00Z",
        "status: success",
        "next_sync: 2025-10-13T14:10:00Z",
        'conflicts: ["conflict-1"]',
    ]


def test_json_is_the_servers_answer() -> None:
    server = Server({"GET /v1/terraform/sync/workspaces/production": PRODUCTION})
    assert json.loads(call(server, "status", "production", "--json").output) == PRODUCTION


def test_a_sync_now_prints_the_run_for_scripts() -> None:
    server = Server({"POST /v1/terraform/sync/workspaces/production/sync": {**PRODUCTION, "run_id": "run-1"}})
    assert call(server, "now", "production").output == "run-1\n"


def test_a_refusal_is_the_servers_sentence() -> None:
    refusal = click.ClickException("Workspace 'nowhere' does not exist")
    done = call(Server({"POST /v1/terraform/sync/workspaces/nowhere/sync": refusal}), "now", "nowhere")
    assert (done.exit_code, done.output) == (1, "Error: Workspace 'nowhere' does not exist\n")


def test_a_name_is_no_path() -> None:
    server = Server({"POST /v1/terraform/sync/workspaces/a%3Fb/c%2Fd/sync": {"run_id": "run-1"}})
    assert call(server, "now", "a?b/c/d").exit_code == 0


def test_history_tells_why() -> None:
    syncs = [
        {"created_at": "2025-10-13T14:00:00Z", "cause": "schedule", "status": "conflict", "run_id": "run-1", "reason": "POLICY\nCONFLICT"},
        {"created_at": "2025-10-13T13:00:00Z", "cause": "retry", "status": "error"},
    ]
    server = Server({"GET /v1/terraform/sync/workspaces/production/history?limit=2": {"syncs": syncs, "next": None}})
    assert call(server, "history", "production", "--limit", "2").output.splitlines() == [
        "BEGUN                 CAUSE     STATUS    RUN    REASON",
        "2025-10-13T14:00:00Z  schedule  conflict  run-1  POLICY CONFLICT",
        "2025-10-13T13:00:00Z  retry     error     -",
    ]


def test_a_configuration_goes_to_the_server_as_it_is(tmp_path: Path) -> None:
    document = {"enabled": True, "workspaces": {"production": {"enabled": True, "sync_interval": "10m"}}, "conflict_resolution": "manual"}
    server = Server({"PUT /v1/terraform/sync/config": document})
    file = tmp_path / "sync.json"
    file.write_text(json.dumps(document))
    assert json.loads(call(server, "config", "put", str(file)).output) == document
    assert call(server, "config", "put", "-", given=json.dumps(document)).exit_code == 0
    assert server.asked == [("PUT /v1/terraform/sync/config", document)] * 2


@pytest.mark.parametrize(("text", "sentence"), [("{", "holds no JSON"), ("[]", "must hold an object")])
def test_what_is_no_document_never_leaves_the_machine(tmp_path: Path, text: str, sentence: str) -> None:
    server, file = Server({}), tmp_path / "sync.json"
    file.write_text(text)
    done = call(server, "config", "put", str(file))
    assert (done.exit_code, server.asked) == (1, [])
    assert sentence in done.output


def test_all_pages_of_conflicts_are_listed() -> None:
    conflict = {"id": "conflict-1", "workspace": "production", "kind": "lock", "status": "open", "message": "it is locked"}
    server = Server(
        {
            "GET /v1/terraform/sync/conflicts?status=open&limit=100": {"conflicts": [conflict], "next": "conflict-1"},
            "GET /v1/terraform/sync/conflicts?status=open&limit=100&before=conflict-1": {"conflicts": [conflict], "next": None},
        }
    )
    assert len(call(server, "conflicts").output.splitlines()) == 3


def test_a_decision_says_only_what_was_said() -> None:
    server = Server({"POST /v1/terraform/sync/conflicts/conflict-1/resolve": {"id": "conflict-1", "status": "resolved"}})
    assert "status: resolved" in call(server, "resolve", "conflict-1", "accept", "--plan", "abc").output
    call(server, "resolve", "conflict-1", "ignore", "--until", "2030-01-31T08:00:00Z")
    assert [sent for _, sent in server.asked] == [
        {"resolution": "accept", "plan": "abc"},
        {"resolution": "ignore", "until": "2030-01-31T08:00:00Z"},
    ]
    assert call(server, "resolve", "conflict-1", "shrug").exit_code == 2
