"""What the process itself answers, and the links that it signs."""

from __future__ import annotations

from typing import Final

from tests.docs.route_words.section import Section

SERVICE: Final = Section(
    "Service",
    "",
    "Open to everybody.",
    {
        "GET /.well-known/terraform.json": "Service discovery: where terraform finds the API and `terraform login`.",
        "GET /health": "Whether the process answers.",
        "GET /ready": "Whether database and storage really work; 503 when one does not.",
        "GET /metrics": "Numbers for Prometheus, or OpenMetrics where `Accept` asks for it; [what each means](metrics.md).",
        "GET /api/v2/ping": "An empty object; its headers say the API's version.",
    },
)

SIGNED_LINKS: Final = Section(
    "Signed links",
    "",
    "The address is the credential: it names one purpose, one method, one object and an expiry, under a signature.",
    {
        "GET /c/{token}": "Download a state, an archive, a plan's JSON, or read a log by `offset` and `limit`.",
        "PUT /c/{token}": "Upload a state or an archive. The same bytes again are 200, others 409.",
    },
)
