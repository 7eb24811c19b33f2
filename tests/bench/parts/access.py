"""What roles cost: one workspace and a page of many, for somebody with fifty of them; and signing in beside other requests."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import httpx
from sqlalchemy import insert, select, text
from sqlalchemy.orm import Session

from terrapod_core import ids
from terrapod_core.authz import Actor, ActorKind, Authorizer, Role, RoleAssignment, role_set, visibility
from terrapod_core.authz.levels import GuardKind
from terrapod_core.db import Database
from terrapod_core.workspaces.models import Label, Workspace
from tests.bench.tools.bodies import new_workspace
from tests.bench.tools.load import Load, measure as load
from tests.bench.tools.report import Report
from tests.bench.tools.served import HELLO
from tests.bench.tools.servers import BenchServer, serving
from tests.support import wire
from tests.support.postgres import PostgresServer
from tests.support.waiting import until

ROLES = 50
FEW, MANY = 100, 10_000
PAGE_MS, FIRST_MS, GATE_SHARE, FLAT = 15, 120, 0.05, 1.5
NAME = "measured"
LIST = "/api/v2/organizations/default/workspaces"
SIGN_INS = 4


def measure(report: Report, directory: Path, postgres: PostgresServer, *, rounds: int, seconds: float) -> None:
    """On both databases: the gate's share, and the page among few and among many workspaces."""
    for kind in ("SQLite", "PostgreSQL"):
        warm = {}
        for number in (FEW, MANY):
            url = postgres.url(postgres.create()) if kind == "PostgreSQL" else None
            with serving(directory / f"{kind}-{number}".lower(), database_url=url) as server:
                token = _fill(server, url, number)
                headers = {"Authorization": f"Bearer {token}", "Accept": "application/vnd.api+json"}
                if number == FEW:
                    _gate(report, server, headers, kind, rounds, seconds)
                    report.section(f"a page of 20 workspaces under {ROLES} roles on {kind}, 1 connection (median of {rounds})")
                warm[number] = _page(report, server, url, headers, number, rounds, seconds)
        flat = warm[MANY] / warm[FEW]
        report.add("among many beside among few", f"{flat:.2f}", aim=f"flat (under {FLAT})", met=flat < FLAT)


def _gate(report: Report, server: BenchServer, headers: dict[str, str], kind: str, rounds: int, seconds: float) -> None:
    report.section(f"GET workspace under {ROLES} roles on {kind}, 16 connections (median of {rounds})")
    base = server.url.replace("localhost", "127.0.0.1")
    path = f"{base}{LIST}/{NAME}"
    mine = {"Authorization": f"Bearer {server.token}", "Accept": "application/vnd.api+json"}
    hello, owner, holder = [], [], []
    for _ in range(rounds):
        hello.append(load(base + HELLO, connections=16, seconds=seconds, headers=mine).rate)
        owner.append(load(path, connections=16, seconds=seconds, headers=mine).rate)
        holder.append(load(path, connections=16, seconds=seconds, headers=headers).rate)
    per_request = 1e6 / median(holder)
    gate = _microseconds(headers)
    report.add("with the roles", f"{median(holder):.0f}/s", f"admin {median(owner):.0f}/s, hello {median(hello):.0f}/s")
    share = gate / per_request
    report.add(
        "the gate itself, three questions",
        f"{gate:.1f} µs of {per_request:.0f} µs: {100 * share:.1f} %",
        aim=f"under {100 * GATE_SHARE:.0f} % of the request",
        met=share < GATE_SHARE,
    )


class _Thing:
    guarded_as = GuardKind.WORKSPACE

    def __init__(self, number: int) -> None:
        self.id, self.owner_id, self.name, self.labels = f"ws-{number}", None, f"team{number % 40}-many-{number:06}", _labels(number)


def _microseconds(_headers: dict[str, str]) -> float:
    """What the gate takes of one request: `require`, and `level` for the blocks of permissions."""
    actor = Actor(ActorKind.USER, "user-1", "holder", roles=role_set(role.rule() for role in _roles()))
    gate, things = Authorizer(), [_Thing(number) for number in range(200)]
    times = []
    for _ in range(20):
        began = time.perf_counter()
        for thing in things:
            for _question in range(3):
                gate.level(actor, thing)
        times.append((time.perf_counter() - began) / len(things))
    return 1e6 * median(times)


def _page(report: Report, server: BenchServer, url: str | None, headers: dict[str, str], number: int, rounds: int, seconds: float) -> float:
    base = server.url.replace("localhost", "127.0.0.1")
    with httpx.Client(base_url=base, headers=headers, trust_env=False) as client:
        # The server remembers for a few seconds that this person had no roles yet.
        seen = until(lambda: int(client.get(LIST).json()["meta"]["pagination"]["total-count"]), "the roles to be known", seconds=15)
        first = median(_after_a_change(server, url, client) for _ in range(max(3, rounds)))
    found: list[Load] = [load(base + LIST, connections=1, seconds=seconds, headers=headers) for _ in range(rounds)]
    p50 = median(each.p50 for each in found)
    p99 = median(each.p99 for each in found)
    what = f"of {number:,}, {seen:,} visible"
    report.add(f"{what}: warm", f"p50 {p50:.1f} ms, p99 {p99:.1f} ms", aim=f"p50 under {PAGE_MS} ms", met=p50 < PAGE_MS)
    report.add(f"{what}: first after a change", f"{first:.0f} ms", aim=f"under {FIRST_MS} ms", met=first < FIRST_MS)
    return p50


def _after_a_change(server: BenchServer, url: str | None, client: httpx.Client) -> float:
    """How long the first page takes once something that can be seen has changed; milliseconds."""

    async def change() -> None:
        db = Database(url or f"sqlite+aiosqlite:///{server.data / 'terrapod.db'}")
        try:
            async with db.uow() as uow:
                await visibility.changed(uow, GuardKind.WORKSPACE)
                await uow.commit()
        finally:
            await db.close()

    asyncio.run(change())
    began = time.perf_counter()
    client.get(LIST).raise_for_status()
    return 1000 * (time.perf_counter() - began)


def sign_ins(report: Report, directory: Path, *, rounds: int, seconds: float) -> None:
    """People who sign in with a password cost a processor each; who reads meanwhile shall hardly notice on the loop."""
    report.section(f"GET workspace at 4 connections while {SIGN_INS} people sign in again and again (median of {rounds})")
    with serving(directory / "sign-ins") as server:
        new_workspace(server, NAME)
        base = server.url.replace("localhost", "127.0.0.1")
        headers = {"Authorization": f"Bearer {server.token}", "Accept": "application/vnd.api+json"}
        alone, beside, done = [], [], []
        for number in range(rounds):
            report.doing(f"round {number + 1} of {rounds}")
            alone.append(load(f"{base}{LIST}/{NAME}", connections=4, seconds=seconds, headers=headers))
            with _signing_in(server) as counted:
                beside.append(load(f"{base}{LIST}/{NAME}", connections=4, seconds=seconds, headers=headers))
                done.append(len(counted) / seconds)
        report.add("alone", f"{median(each.rate for each in alone):.0f}/s, p99 {median(each.p99 for each in alone):.0f} ms")
        slower = median(each.p99 for each in beside)
        report.add(
            f"beside {median(done):.0f} sign-ins a second",
            f"{median(each.rate for each in beside):.0f}/s, p99 {slower:.0f} ms",
            "two processors: hashing has one of them",
        )


@contextmanager
def _signing_in(server: BenchServer) -> Iterator[list[float]]:
    """So many people who sign in until the block ends; the times of those who got in."""
    ended, times = threading.Event(), []

    def again() -> None:
        while not ended.is_set():
            with httpx.Client(base_url=server.url, headers={"Accept": wire.JSON}, timeout=60, trust_env=False) as client:
                begun = client.get("/api/v2/auth/authorize", params={"provider": "local"}).json()
                if "data" not in begun:
                    time.sleep(0.2)
                    continue
                sent = {"state": begun["data"]["attributes"]["state"], "email": server.email, "password": server.password}
                began = time.monotonic()
                if client.post("/api/v2/auth/callback", json=sent).status_code == 200:
                    times.append(time.monotonic() - began)

    people = [threading.Thread(target=again) for _ in range(SIGN_INS)]
    for person in people:
        person.start()
    try:
        yield times
    finally:
        ended.set()
        for person in people:
            person.join()


# -- who and what there is


def _roles() -> list[Role]:
    """Thirty by label, fifteen by name, five that deny."""
    now = datetime.now(UTC)
    empty: dict[str, Any] = {"allow_labels": {}, "allow_names": [], "deny_labels": {}, "deny_names": []}
    parts: list[dict[str, Any]] = [{"allow_labels": {"team": f"team{number}", "stage": ["dev", "test"]}} for number in range(30)]
    parts += [{"allow_names": [f"team{number}-*", f"shared-{number}"]} for number in range(30, 45)]
    parts += [{"deny_labels": {"secret": f"level{number}"}, "deny_names": [f"*-secret-{number}"]} for number in range(5)]
    return [
        Role(
            id=ids.new("role"),
            name=f"role-{number}",
            description=None,
            workspace_permission=("read", "plan", "write")[number % 3],
            registry_permission=None,
            pool_permission="read",
            created_at=now,
            updated_at=now,
            **(empty | part),
        )
        for number, part in enumerate(parts)
    ]


def _labels(number: int) -> dict[str, str | None]:
    labels: dict[str, str | None] = {"team": f"team{number % 40}", "env": ("dev", "test", "prod")[number % 3]}
    return labels | ({"secret": f"level{number % 7}"} if number % 50 == 0 else {})


def _fill(server: BenchServer, url: str | None, number: int) -> str:
    """The token of somebody with all the roles, and so many workspaces of somebody else's."""
    wire.data(
        server.api.post(f"{wire.ORG}/workspaces", json=wire.document("workspaces", name=NAME, labels={"team": "team1", "env": "dev"})), 201
    )
    account = wire.document("users", username="holder", is_service_account=True)
    holder: str = wire.data(server.api.post("admin/users", json=account), 201)["id"]
    token = wire.document("authentication-tokens", description="of the benchmark")
    text: str = wire.attributes(server.api.post(f"users/{holder}/authentication-tokens", json=token), 201)["token"]
    asyncio.run(_insert(url or f"sqlite+aiosqlite:///{server.data / 'terrapod.db'}", holder, number))
    return text


async def _insert(url: str, holder: str, number: int) -> None:
    def pattern(session: Session) -> dict[str, object]:
        found = session.execute(select(Workspace).limit(1)).scalar_one()
        return {column.key: getattr(found, column.key) for column in Workspace.__table__.columns}

    db = Database(url)
    try:
        row, now = await db.read(pattern), datetime.now(UTC)
        workspaces = [
            row | {"id": ids.new("ws"), "name": f"team{each % 40}-many-{each:06}", "labels": _labels(each), "created_at": now}
            for each in range(number)
        ]
        labels = [
            {"id": ids.new("tb"), "workspace_id": each["id"], "key": key, "value": value, "created_at": now}
            for each, number_ in zip(workspaces, range(number), strict=True)
            for key, value in _labels(number_).items()
        ]
        async with db.uow() as uow:
            roles = _roles()
            uow.add(*roles)
            await uow.session.execute(insert(Workspace), workspaces)
            await uow.session.execute(insert(Label), labels)
            uow.add(
                *(
                    RoleAssignment(
                        id=ids.new("ra"), provider="service", email=holder, email_key=holder, role=role.name,
                        user_id=holder, created_at=now,
                    )
                    for role in roles
                )
            )  # fmt: skip
            await visibility.changed(uow, GuardKind.WORKSPACE)
            # As the database does by itself within a minute of so many rows.
            await uow.session.execute(text("ANALYZE"))
            await uow.commit()
    finally:
        await db.close()
