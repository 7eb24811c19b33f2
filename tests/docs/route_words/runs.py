"""Runs, their plans, applies and logs, and the doors of their runners."""

from __future__ import annotations

from typing import Final

from tests.docs.route_words.section import API, TOKEN, Section

RUNS: Final = Section(
    "Runs",
    API,
    TOKEN,
    {
        "POST /runs": "Queue a run.",
        "GET /runs/{run_id}": "A run.",
        "GET /workspaces/{workspace_id}/runs": "A workspace's runs, newest first.",
        "GET /organizations/{org}/runs": "Runs of all workspaces the caller sees.",
        "GET /organizations/{org}/runs/queue": "Waiting runs, in the order of service.",
        "GET /runs": "The same; `workspace_id` names one workspace.",
        "GET /runs/{run_id}/comments": "What was said about a run, oldest first.",
        "POST /runs/{run_id}/comments": "Say something about a run.",
        "GET /comments/{comment_id}": "A comment.",
        "GET /runs/{run_id}/configuration-version": "The configuration version of a run.",
        "GET /runs/{run_id}/configuration-version/download": "Leads to its archive.",
        "GET /runs/{run_id}/run-events": "What happened to a run, and who did it.",
        "GET /run-events/{event_id}": "One thing that happened to a run.",
        "POST /runs/{run_id}/actions/apply": "Confirm a planned run; what terraform calls.",
        "POST /runs/{run_id}/actions/confirm": "Confirm a planned run.",
        "POST /runs/{run_id}/actions/discard": "Give up a run before its apply.",
        "POST /runs/{run_id}/actions/cancel": "Interrupt terraform, as Ctrl-C does.",
        "POST /runs/{run_id}/actions/force-cancel": "Kill terraform; possible a minute after `cancel`.",
        "POST /runs/{run_id}/actions/force-execute": "Let a pending run go first; a run that waits for a decision is discarded for it.",
        "POST /runs/{run_id}/actions/retry": "A new run of the same configuration with the same options, as the caller's own.",
        "GET /runs/{run_id}/plan": "The run's plan.",
        "GET /runs/{run_id}/apply": "The run's apply.",
        "GET /runs/{run_id}/plan/json-output": "The plan as JSON, secrets included.",
        "GET /plans/{plan_id}": "A plan, with the link to its log.",
        "GET /plans/{plan_id}/json-output": "The plan as JSON, secrets included.",
        "GET /plans/{plan_id}/json-output-redacted": "The plan as JSON for terraform's own rendering, sensitive values removed.",
        "GET /plans/{plan_id}/json-schema": "The schemas of the providers that the plan used.",
        "GET /runs/{run_id}/plan/json-schema": "The same.",
        "GET /applies/{apply_id}": "An apply, with the link to its log.",
        "GET /applies/{apply_id}/errored-state": "Redirects to the newest state that a failed or cancelled apply left.",
    },
)

STREAMS: Final = Section(
    "Streams",
    API,
    TOKEN + " What is told, and how one comes back: [Events](events.md).",
    {
        "GET /runs/{run_id}/events": "What happens to a run.",
        "GET /workspaces/{workspace_id}/events": "What happens to a workspace and its runs.",
        "GET /organizations/{org}/events": "What happens to everything the caller may read.",
        "GET /plans/{plan_id}/log-stream": "The plan's log, and what is appended to it.",
        "GET /applies/{apply_id}/log-stream": "The apply's log, and what is appended to it.",
    },
)

PHASES: Final = Section(
    "Phase protocol",
    "/api/runner/v1/phases/{phase_id}",
    "Needs the token of the phase. The whole protocol: [The phase protocol](phase-protocol.md).",
    {
        "POST /claim": "Take the phase.",
        "POST /started": "Say which engine was chosen.",
        "GET /configuration": "The archive to unpack.",
        "GET /state": "The state to start from.",
        "PUT /state": "Hand in a state.",
        "GET /plan-file": "The saved plan to apply.",
        "PUT /{artifact}": "Hand in the plan file, the plan's JSON or the providers' schemas.",
        "PUT /log": "Append to the log.",
        "POST /renew": "Keep the lease, and hear whether to stop.",
        "POST /report": "How the phase ended.",
    },
)
