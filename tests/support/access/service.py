"""What the process itself answers, and the links that it signs."""

from __future__ import annotations

from typing import Final

from tests.support.access.needs import Open, Row

ROWS: Final[dict[str, Row]] = {
    "GET /health": Row(Open("for probes")),
    "GET /ready": Row(Open("for probes")),
    "GET /metrics": Row(Open("for Prometheus; with the setting `metrics.token` whoever has that")),
    "GET /.well-known/terraform.json": Row(Open("service discovery")),
    "GET /api/v2/ping": Row(Open("terraform asks before it has a token")),
    "GET /c/<token>": Row(Open("the signed link is the right")),
    "PUT /c/<token>": Row(Open("the signed link is the right")),
}

LATER: Final[dict[str, str]] = {
    "GET /c/<token>": "nothing at this address",
    "PUT /c/<token>": "nothing at this address",
}
