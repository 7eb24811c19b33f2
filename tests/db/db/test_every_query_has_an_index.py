"""Every list and every queue finds its rows by an index, on both databases, however many there are.

All lists are asked with all that they can be asked, and everything that runs by the clock or looks for work is run once, over a
database of many rows; what they send is explained. Statements that read a table whole stand in `WHOLE`, each with its reason.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, Final

import pytest
from quart import Response
from sqlalchemy import text
from sqlalchemy.orm import Session

from terrapod_core import ids
from terrapod_core.app import Terrapod, prepare
from terrapod_core.assessments import queries as assessments
from terrapod_core.authz import RoleAssignment
from terrapod_core.configurations import ConfigurationVersion
from terrapod_core.ingress import queries as ingress
from terrapod_core.ingress.models import Change
from terrapod_core.settings import load
from terrapod_core.vcs import queries as vcs
from tests.support.access import TABLE, Listening, Open, Runner
from tests.support.databases import Databases
from tests.support.many import GROW, Numbers, plant
from tests.support.plans import Caught, catching, faults
from tests.support.postgres import run_elsewhere
from tests.support.server import EMAIL, KEYS, PASSWORD, TOKEN
from tests.support.wire import document

NUMBER: Final = "0000000000000001"
NAMES: Final = {
    "org": "default", "name": f"many-{NUMBER}", "workspace_id": f"ws-{NUMBER}", "variable_id": f"variables-{NUMBER}",
    "varset_id": f"variable_sets-{NUMBER}", "project_id": f"prj-{NUMBER}", "pool_id": f"agent_pools-{NUMBER}",
    "listener_id": f"listeners-{NUMBER}", "run_id": f"run-{NUMBER}", "plan_id": f"plan-{NUMBER}", "apply_id": f"apply-{NUMBER}",
    "event_id": f"run_events-{NUMBER}", "comment_id": f"comments-{NUMBER}", "output_id": f"state_version_outputs-{NUMBER}",
    "connection_id": f"vcs_connections-{NUMBER}", "change_id": f"vcs_changes-{NUMBER}",
    "result_id": f"asmtres-{NUMBER}",
    "user_id": f"user-{NUMBER}", "token_id": f"api_tokens-{NUMBER}", "session_id": f"sessions-{NUMBER}",
}  # fmt: skip
RUNS: Final = (
    "filter[status]=planning,applied", "filter[status]=pending", "filter[status-group]=final", "filter[status-group]=non_final",
    "filter[status-group]=discardable", "filter[operation]=plan_only,destroy", "filter[operation]=save_plan",
    "filter[source]=tfe-api", "filter[timeframe]=year", "filter[timeframe]=2026", "search[user]=user", "search[basic]=x",
    f"search[basic]=run-{NUMBER}", "search[commit]=abc", "filter[agent-pool-names]=one",
)  # fmt: skip
WORKSPACES: Final = (
    "search[name]=many-00000000000", "search[wildcard-name]=*0007*", "search[tags]=team", "search[exclude-tags]=other",
    "filter[tagged][0][key]=team&filter[tagged][0][value]=team7", "filter[project][id]=prj-" + NUMBER,
    "filter[current-run][status]=planning", "filter[current-run][status]=applied",
    *(f"sort={sign}{name}" for sign, name in product(("", "-"), ("name", "created-at", "updated-at", "latest-change-at"))),
)  # fmt: skip
ASKED: Final[Mapping[str, tuple[str, ...]]] = {
    "GET /api/v2/organizations/<org>/workspaces": WORKSPACES,
    "GET /api/v2/organizations/<org>/runs": (*RUNS, f"filter[workspace-names]=many-{NUMBER}"),
    "GET /api/v2/workspaces/<workspace_id>/runs": RUNS,
    "GET /api/v2/workspaces/<workspace_id>/state-versions": ("filter[status]=finalized", "filter[status]=pending"),
    "GET /api/v2/state-versions": (f"filter[organization][name]=default&filter[workspace][name]=many-{NUMBER}",),
    "GET /api/v2/vars": (f"filter[organization][name]=default&filter[workspace][name]=many-{NUMBER}",),
    "GET /api/v2/organizations/<org>/projects": ("q=prj", "filter[names]=projects-" + NUMBER, "sort=-name"),
    "GET /api/v2/organizations/<org>/varsets": ("q=variable", "search[name]=variable"),
    "GET /api/v2/organizations/<org>/tags": ("q=te",),
    "GET /api/v2/organizations/<org>/agent-pools": ("q=agent", "sort=name", "sort=-created-at"),
    "GET /api/v2/admin/users": ("q=user", "search[email]=user"),
    "GET /api/v2/role-assignments": ("filter[email]=x@example.com", "q=email", "filter[role]=role-1"),
    "GET /api/v2/admin/audit-log": (
        "filter[actor]=somebody", f"filter[actor]=user-{NUMBER}", "filter[action]=workspace.update", "filter[action]=workspace.*",
        "filter[resource-type]=x", f"filter[resource-id]=ws-{NUMBER}", "filter[outcome]=refused", f"filter[request-id]=req-{NUMBER}",
        "filter[address]=10.0.0.1", "filter[since]=2026-01-01T00:00:00Z", "filter[until]=2026-01-01T00:00:00Z",
    ),
}  # fmt: skip
"""What a list can be asked, beside being asked for everything."""

STREAMS: Final = re.compile(r"/events$|-stream$")
"""Answers that never end; what they read, `live` reads by the clock here."""

ARGUMENT: Final = re.compile(r"<(\w+)>")

EMPTY: Final = frozenset(
    {
        "GET /api/v2/auth/providers",
        "GET /api/v2/auth/sessions",
        "GET /api/v2/projects/<project_id>/varsets",
        "GET /api/v2/workspaces/<workspace_id>/resources",
    }
)
"""Lists that hold nothing here, or nothing of a table that grows."""

WHOLE: Final[Mapping[tuple[str, str], str]] = {
    (r"all of (workspaces|runs)|sorts|SCAN workspaces", r"unnest\(|json_each\("): (
        "what somebody sees by roles is worked out over all workspaces; of workspaces it is remembered until a name, label or owner changes"
    ),
    (r"(all of|SCAN) workspaces", r"count\(\*\)|labels\.key|lower\(workspaces\.name\)|workspaces\.name ILIKE|current_run_id IN"): (
        "totals and searches go over all workspaces: some ten thousand, in milliseconds"
    ),
    (r"(all of|SCAN) (runs|workspaces)", r"SELECT count\(\*\) AS count_1 FROM runs"): (
        "an exact total of what a filter finds in all runs; without a filter, what is older than an hour is counted once"
    ),
    (r"(all of|SCAN) workspaces", r"runs\.status (IN|=)"): "the queue: a few runs, found from either side in milliseconds",
    (r"all of runs", r"runs\.configuration_version_id = .* ORDER BY runs\.created_at"): (
        "what a workspace has run since a version came, by time: a few runs; here all are of one day"
    ),
    (r"sorts", r"^WITH served AS"): "whom the runners have served lately, by person and workspace: a row for each run of some minutes",
    (r"all of audit_entries", r"SELECT count.* LIMIT"): "the log's total stops at a limit; here every entry is found by the filter",
    (r"all of configuration_versions", r"SELECT count"): "the total of a workspace that has half of all there are",
    (r"sorts", r"FROM (agent_pools|\(SELECT coalesce\(role_assignments)"): "a row for each pool or person, some thousands",
    (r"sorts", r"FROM variable_set_workspaces"): "the workspaces of twenty shared sets",
    (r"sorts|(all of|SCAN) workspaces", r"ORDER BY workspaces\.(updated_at|latest_change_at)"): (
        "an index in this order would be written with every run and every state"
    ),
}
"""What is wrong with which statements, as patterns, and why it may be."""


@dataclass
class Asked:
    """What the walk over everything came to."""

    faults: dict[str, list[str]] = field(default_factory=dict)
    sent: dict[str, str] = field(default_factory=dict)
    """Each statement, and what sent it first."""
    empty: list[str] = field(default_factory=list)
    """Lists that showed nothing to an admin who asked for all."""


@pytest.fixture(scope="module")
def planted_url(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database of many rows."""

    def fill(url: str) -> None:
        run_elsewhere(prepare(settings(url, tmp_path_factory.mktemp("prepared"))))  # type: ignore[arg-type]
        run_elsewhere(plant(url, Numbers()))

    return databases.copy_of("many", fill)


def settings(url: str, directory: Path) -> Any:
    """Of a server over this database."""
    environ = {
        "TERRAPOD_SECRETS__KEYS": KEYS, "TERRAPOD_BOOTSTRAP__ADMIN_EMAIL": EMAIL, "TERRAPOD_BOOTSTRAP__ADMIN_PASSWORD": PASSWORD,
        "TERRAPOD_BOOTSTRAP__ADMIN_TOKEN": TOKEN, "TERRAPOD_RUNNER__LOCAL__ISOLATION": "none",
        "TERRAPOD_LIMITS__REQUESTS_PER_SECOND_PER_TOKEN": "0", "TERRAPOD_LIMITS__REQUESTS_PER_SECOND_PER_ADDRESS": "0",
    }  # fmt: skip
    return load(environ=environ, overrides={"data_dir": directory, "database.url": url})


@pytest.fixture(scope="module")
def asked(planted_url: str, tmp_path_factory: pytest.TempPathFactory) -> Asked:
    """Every list asked everything, and everything that runs by the clock run once."""
    found = Asked()

    async def ask() -> None:
        terrapod = Terrapod(settings(planted_url, tmp_path_factory.mktemp("server")), jobs=False)
        try:
            sizes = await _sizes(terrapod)
            with catching(terrapod.db) as caught:
                found.empty += await _ask(terrapod, caught)
                await _work(terrapod, caught)
            found.faults = await faults(terrapod.db, caught, sizes)
            found.sent = {statement: by for statement, (_, by) in caught.sent.items()}
        finally:
            await terrapod.db.close()

    run_elsewhere(ask())
    return found


async def _ask(terrapod: Terrapod, caught: Caught) -> list[str]:
    """Ask as a platform admin and as somebody with many roles; the lists that held nothing."""
    client = terrapod.app.test_client()
    admin = {"Authorization": f"Bearer {TOKEN}"}
    made = await client.post("/api/v2/admin/users", json=document("users", username="holder", is_service_account=True), headers=admin)
    holder = (await made.get_json())["data"]["id"]
    async with terrapod.db.uow() as uow:
        given = {"provider": "service", "email": holder, "email_key": holder, "user_id": holder, "created_at": uow.now()}
        uow.add(*(RoleAssignment(id=ids.new("ra"), role=f"role-{number}", **given) for number in range(1, 51)))
        await uow.commit()
    token = await client.post(
        f"/api/v2/users/{holder}/authentication-tokens", json=document("authentication-tokens", description="x"), headers=admin
    )
    people = [admin, {"Authorization": f"Bearer {(await token.get_json())['data']['attributes']['token']}"}]
    empty = []
    for route, row in TABLE.items():
        if not route.startswith("GET /api/v2/") or isinstance(row.needs, Open | Runner | Listening) or STREAMS.search(route):
            continue
        path = _path(route)
        for person, query, page in product(people, ("", *ASKED.get(route, ())), (1, 3)):
            caught.now = f"{route}?{query}"
            answer = await client.get(f"{path}?{query}&page[number]={page}", headers=person)
            assert answer.status_code < 500, f"{caught.now}: {(await answer.get_data(as_text=True))[:300]}"
            if person is admin and page == 1 and not query and await _holds_nothing(answer):
                empty.append(route)
    return empty


async def _holds_nothing(answer: Response) -> bool:
    found = await answer.get_json() if answer.is_json else None
    return isinstance(found, dict) and found.get("data") == []


def _path(route: str) -> str:
    version = f"sv-{NUMBER}" if "state-version" in route else f"configuration_versions-{NUMBER}"
    return ARGUMENT.sub(lambda match: NAMES.get(match[1], version), route.removeprefix("GET "))


async def _work(terrapod: Terrapod, caught: Caught) -> None:
    """Whatever looks for work, once."""
    for look in (terrapod.dispatcher.look, terrapod.offers.look, terrapod.ingress.module_tags.look):
        caught.now = look.__qualname__
        await look()
    await _follow(terrapod, caught)
    for periodic in terrapod.jobs.periodic:
        caught.now = periodic.name
        await periodic.run()


async def _follow(terrapod: Terrapod, caught: Caught) -> None:
    """What is asked on the way from a repository to a run, and about what a run found."""
    caught.now, now = "following", terrapod.clock.now()
    repository, change = f"vcs_repositories-{NUMBER}", f"vcs_changes-{NUMBER}"
    questions: tuple[Callable[[Session], object], ...] = (
        lambda session: vcs.due_ids(session, now, 8),
        lambda session: vcs.due(session, now, 8),
        lambda session: vcs.next_due(session, now),
        lambda session: vcs.repository_at(session, f"vcs_connections-{NUMBER}", "acme/net"),
        lambda session: vcs.named(session, [f"vcs_connections-{NUMBER}"], "acme/net"),
        lambda session: ingress.wants(session, [repository]),
        lambda session: ingress.followers(session, repository),
        lambda session: ingress.open_pulls(session, repository),
        lambda session: ingress.known(session, [f"sha-{NUMBER}"]),
        lambda session: ingress.oldest_due(session, now),
        lambda session: ingress.due_of_commit(session, repository, f"sha-{NUMBER}", now),
        lambda session: (ingress.any_to_start(session, now), ingress.due_to_start(session, now, 20)),
        lambda session: (ingress.any_to_tell(session, now), ingress.due_to_tell(session, now, 8)),
        ingress.next_due,
        lambda session: ingress.earlier_heads(session, session.get_one(Change, change)),
        lambda session: ingress.run_of(session, session.get_one(ConfigurationVersion, f"configuration_versions-{NUMBER}")),
        lambda session: ingress.has_run(session, f"ws-{NUMBER}"),
        lambda session: ingress.linked(session, [f"ws-{NUMBER}"]),
        lambda session: (ingress.outcome(session, change), ingress.of_pull(session, repository, 4)),
        lambda session: ingress.old(session, now, 500),
        lambda session: assessments.concerned(session, [f"ws-{NUMBER}"]),
        lambda session: (assessments.is_known(session, f"run-{NUMBER}"), assessments.run_and_plan(session, f"run-{NUMBER}")),
        lambda session: (assessments.under_way(session, f"ws-{NUMBER}"), assessments.applied_since(session, f"ws-{NUMBER}", now)),
        lambda session: assessments.too_many(session, f"ws-{NUMBER}", 100),
    )
    for question in questions:
        async with terrapod.db.uow() as uow:
            await uow.run(question)


async def _sizes(terrapod: Terrapod) -> dict[str, int]:
    def count(session: Any) -> dict[str, int]:
        return {name: session.execute(text(f"SELECT count(*) FROM {name}")).scalar_one() for name in GROW}

    return await terrapod.db.read(count)


@pytest.mark.slow
@pytest.mark.timeout(900)  # some hundred thousand rows, and every list of them
def test_no_statement_reads_a_big_table_whole_or_sorts_more_than_a_page(asked: Asked) -> None:
    unknown = {one: left for one, wrong in asked.faults.items() if (left := [each for each in wrong if not _excused(each, one)])}
    told = (f"{asked.sent[one]}\n   {'; '.join(left)}\n   {' '.join(one.split())}" for one, left in unknown.items())
    assert not unknown, f"{len(unknown)} of {len(asked.sent)} statements:\n\n" + "\n\n".join(told)


def _excused(fault: str, statement: str) -> bool:
    text = " ".join(statement.split())
    return any(re.search(what, fault) and re.search(which, text) for what, which in WHOLE)


def test_every_list_had_something_to_show(asked: Asked) -> None:
    """A list whose table was not planted is explained over nothing, which proves nothing."""
    assert set(asked.empty) <= EMPTY, "plant these in tests/support/many.py"
