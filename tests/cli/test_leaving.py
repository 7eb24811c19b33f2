"""A server that is stopped behind a balancer: it says that it leaves, and works on until nobody comes any more."""

from __future__ import annotations

import signal
from pathlib import Path

import httpx
import psutil

from tests.support.server import Server
from tests.support.waiting import until


def test_ready_says_that_it_leaves_while_everything_else_is_answered(tmp_path: Path) -> None:
    server = Server(tmp_path / "server", settings={"SERVER__LEAVE_SECONDS": "600"})
    try:
        server.start()
        process = psutil.Process(server.pid)
        process.send_signal(signal.SIGTERM)
        until(lambda: httpx.get(f"{server.url}/ready", trust_env=False).status_code == 503, "it to say that it leaves")
        said = httpx.get(f"{server.url}/ready", trust_env=False).json()
        assert (said["status"], said["detail"]) == ("unavailable", {"leaving": "this server is being stopped"})
        assert httpx.get(f"{server.url}/health", trust_env=False).status_code == 200
        assert server.api.get("account/details").status_code == 200
    finally:
        server.close()


def test_it_ends_well_when_the_time_is_over(tmp_path: Path) -> None:
    server = Server(tmp_path / "server", settings={"SERVER__LEAVE_SECONDS": "1"})
    try:
        server.start()
        assert server.stop() == 0, server.said()
    finally:
        server.close()
