"""What an apply that went wrong left behind (go-tfe's `Applies.ErroredState`)."""

from __future__ import annotations

from quart import Blueprint, Response, redirect

from terrapod_core.authz import Permission
from terrapod_core.errors import NotFound
from terrapod_core.runs.service import Runs
from terrapod_core.runs.status import PhaseStatus
from terrapod_core.states import States
from terrapod_core.web import Web


def routes(runs: Runs, states: States, web: Web) -> Blueprint:
    """Mounted at `/api/v2`."""
    api = Blueprint("run_states", __name__)

    @api.get("/applies/<apply_id>/errored-state")
    async def errored_state(apply_id: str) -> Response:
        phase, view = await runs.phase(await web.actor(), apply_id, Permission.STATE_DOWNLOAD)
        failed = phase.kind == "apply" and phase.status in (PhaseStatus.ERRORED, PhaseStatus.CANCELED)
        link = await states.left_by(view.id) if failed else None
        if link is None:
            raise NotFound("there is no such apply, it did not fail, or it left no state")
        answer: Response = redirect(web.absolute(link), 307)  # type: ignore[assignment]
        answer.headers["Cache-Control"] = "no-store"
        return answer

    return api
