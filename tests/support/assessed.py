"""Results of assessments that nobody made: for tests of pages, and of who may read what."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from sqlalchemy import update
from sqlalchemy.ext.asyncio import create_async_engine

from terrapod_core import ids
from terrapod_core.assessments import AssessmentResult
from terrapod_core.workspaces import Workspace
from tests.support.connections import plant
from tests.support.server import Server


def plant_assessment(server: Server, workspace_id: str, run_id: str, plan_id: str) -> str:
    """The id of a result in the server's database, the workspace's current one: two resources have drifted, by this run's plan."""
    result_id, now = ids.new("asmtres"), datetime.now(UTC)
    made = AssessmentResult(
        id=result_id,
        workspace_id=workspace_id,
        run_id=run_id,
        plan_id=plan_id,
        succeeded=True,
        drifted=True,
        resources_drifted=2,
        resources_undrifted=3,
        checks_passed=0,
        checks_failed=0,
        checks_errored=0,
        checks_unknown=0,
        created_at=now,
    )
    plant(server, [made])
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, _pointed(server.database_url, workspace_id, result_id, now)).result()
    return result_id


async def _pointed(url: str, workspace_id: str, result_id: str, now: datetime) -> None:
    engine = create_async_engine(url, connect_args={"timeout": 30})
    async with engine.begin() as connection:
        values = {"current_assessment_result_id": result_id, "last_assessment_at": now}
        await connection.execute(update(Workspace).where(Workspace.id == workspace_id).values(values))
    await engine.dispose()
