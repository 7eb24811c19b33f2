"""Runs, their plans, applies and logs, and the doors of their runners."""

from __future__ import annotations

from typing import Final

from tests.support.access.needs import On, P, Row, Runner, SignedIn, read

_STOP = "this phase is not yours any more"
_PHASE = "/api/runner/v1/phases/<phase_id>"

ROWS: Final[dict[str, Row]] = {
    "GET /api/v2/organizations/<org>/runs": Row(SignedIn("those they may read")),
    "GET /api/v2/organizations/<org>/runs/queue": Row(SignedIn("those they may read")),
    "GET /api/v2/organizations/<org>/events": Row(SignedIn("what happens to those they may read")),
    "POST /api/v2/runs": Row(On(P.RUN_PLAN), hidden=(404, 422)),
    "GET /api/v2/workspaces/<workspace_id>/runs": read(P.RUN_READ),
    "GET /api/v2/runs": Row(SignedIn("those they may read")),
    "GET /api/v2/runs/<run_id>": read(P.RUN_READ),
    "GET /api/v2/runs/<run_id>/comments": read(P.RUN_READ),
    "POST /api/v2/runs/<run_id>/comments": Row(On(P.RUN_COMMENT)),
    "GET /api/v2/comments/<comment_id>": read(P.RUN_READ),
    "GET /api/v2/runs/<run_id>/configuration-version": read(P.CONFIGURATION_READ),
    "GET /api/v2/runs/<run_id>/configuration-version/download": read(P.CONFIGURATION_DOWNLOAD),
    "GET /api/v2/runs/<run_id>/run-events": read(P.RUN_READ),
    "GET /api/v2/runs/<run_id>/events": Row(On(P.RUN_READ)),
    "GET /api/v2/workspaces/<workspace_id>/events": Row(On(P.WORKSPACE_READ)),
    "GET /api/v2/plans/<plan_id>/log-stream": Row(On(P.RUN_READ)),
    "GET /api/v2/applies/<apply_id>/log-stream": Row(On(P.RUN_READ)),
    "GET /api/v2/run-events/<event_id>": read(P.RUN_READ),
    "GET /api/v2/runs/<run_id>/plan": read(P.RUN_READ),
    "GET /api/v2/runs/<run_id>/apply": read(P.RUN_READ),
    "GET /api/v2/plans/<plan_id>": read(P.RUN_READ),
    "GET /api/v2/applies/<apply_id>": read(P.RUN_READ),
    "GET /api/v2/applies/<apply_id>/errored-state": read(P.STATE_DOWNLOAD),
    "GET /api/v2/plans/<plan_id>/json-output-redacted": read(P.RUN_READ),
    "GET /api/v2/plans/<plan_id>/json-schema": read(P.RUN_READ),
    "GET /api/v2/runs/<run_id>/plan/json-schema": read(P.RUN_READ),
    "GET /api/v2/plans/<plan_id>/json-output": read(P.PLAN_JSON_READ),
    "GET /api/v2/runs/<run_id>/plan/json-output": read(P.PLAN_JSON_READ),
    "POST /api/v2/runs/<run_id>/actions/apply": Row(On(P.RUN_APPLY)),
    "POST /api/v2/runs/<run_id>/actions/confirm": Row(On(P.RUN_APPLY)),
    "POST /api/v2/runs/<run_id>/actions/discard": Row(On(P.RUN_CANCEL)),
    "POST /api/v2/runs/<run_id>/actions/cancel": Row(On(P.RUN_CANCEL)),
    "POST /api/v2/runs/<run_id>/actions/force-cancel": Row(On(P.RUN_FORCE_CANCEL)),
    "POST /api/v2/runs/<run_id>/actions/force-execute": Row(On(P.RUN_CANCEL)),
    "POST /api/v2/runs/<run_id>/actions/retry": Row(On(P.RUN_PLAN)),
    **{
        f"{method} {_PHASE}/{name}": Row(Runner(), body={})
        for name, methods in {
            "claim": ("POST",),
            "started": ("POST",),
            "renew": ("POST",),
            "report": ("POST",),
            "configuration": ("GET",),
            "state": ("GET", "PUT"),
            "plan-file": ("GET",),
            "log": ("PUT",),
            "<artifact>": ("PUT",),
        }.items()
        for method in methods
    },
}

LATER: Final[dict[str, str]] = {
    f"GET {_PHASE}/configuration": _STOP,
    f"GET {_PHASE}/plan-file": _STOP,
    f"GET {_PHASE}/state": _STOP,
    f"POST {_PHASE}/renew": _STOP,
    f"PUT {_PHASE}/<artifact>": _STOP,
    f"POST {_PHASE}/claim": "runner is required",
    f"POST {_PHASE}/report": "status is required",
    f"POST {_PHASE}/started": "tool is required",
    f"PUT {_PHASE}/log": "offset must be a number",
    f"PUT {_PHASE}/state": "serial must be a number",
    "POST /api/v2/runs/<run_id>/actions/apply": "the run is pending",
    "POST /api/v2/runs/<run_id>/actions/confirm": "the run is pending",
    "POST /api/v2/runs/<run_id>/actions/force-cancel": "can be force-cancelled a minute after",
    "POST /api/v2/runs/<run_id>/actions/force-execute": "is locked",
    "POST /api/v2/runs/<run_id>/actions/retry": "the run is pending",
    "GET /api/v2/applies/<apply_id>/errored-state": "it did not fail, or it left no state",
}
