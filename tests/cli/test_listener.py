"""Real listeners of a real server: who they are, and how they come and go."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.listeners import make_pool, make_token
from tests.support.listening import NewListener, Program
from tests.support.server import Server
from tests.support.waiting import until

AN_HOUR_OFF = """
import time
real = time.time
time.time = lambda: real() + 3600
from terrapod_core.cli import main
main(prog_name="terrapod")
"""


def shown(server: Server, listener: Program) -> dict[str, object]:
    """What the server says of a listener."""
    answer = server.api.get(f"agents/{listener.identity['listener-id']}")
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["data"]["attributes"])


def test_a_listener_joins_and_needs_no_token_again(server: Server, pool: str, new_listener: NewListener) -> None:
    token = make_token(server.api, pool)
    listener = new_listener("one").start(token)
    assert shown(server, listener)["status"] == "idle"
    assert listener.identity["pool-id"] == pool
    environment = Path(f"/proc/{listener.pid}/environ").read_bytes()
    assert token.encode() not in environment
    assert listener.stop() == 0
    listener.start()
    assert "joined" not in listener.news
    assert token not in listener.said()
    assert listener.stop() == 0
    assert listener.start(token).says("the join token is not needed").stop() == 0


def test_a_token_among_the_arguments_is_blanked(server: Server, pool: str, new_listener: NewListener) -> None:
    token = make_token(server.api, pool)
    listener = new_listener("one").start(None, "--pool-token", token)
    arguments = Path(f"/proc/{listener.pid}/cmdline").read_bytes()
    assert token.encode() not in arguments
    assert b"--data-dir" in arguments


def test_a_token_comes_from_a_file(server: Server, pool: str, new_listener: NewListener, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(make_token(server.api, pool) + "\n")
    new_listener("one").start(None, "--pool-token-file", str(file))
    file.write_text(make_token(server.api, pool) + "\n")
    new_listener("two", settings={"POOL_TOKEN_FILE": str(file)}).start()


def test_a_second_listener_of_a_name_is_told_to_take_another(server: Server, pool: str, new_listener: NewListener, tmp_path: Path) -> None:
    new_listener("one").start(make_token(server.api, pool))
    second = new_listener("two")
    second.name = "one"
    token = make_token(server.api, pool)
    assert second.begin(token).wait() == 2
    assert "a listener of this pool is called one" in second.news
    assert "--name" in second.news
    second.name = "two"
    second.start(token)


def test_a_token_that_is_used_up_says_so(server: Server, pool: str, new_listener: NewListener) -> None:
    token = make_token(server.api, pool)
    new_listener("one").start(token)
    second = new_listener("two").begin(token)
    assert second.wait() == 2
    assert "the token is used up; ask a platform admin for a new one" in second.news
    assert "Traceback" not in second.news


@pytest.mark.parametrize("token", ["", "hunter2"])
def test_a_listener_without_a_join_token_says_what_it_needs(new_listener: NewListener, token: str) -> None:
    listener = new_listener("one").begin(token or None)
    assert listener.wait() == 2
    assert "join token" in listener.news
    assert "hunter2" not in listener.news


def test_a_server_elsewhere_without_tls_is_not_believed_unasked(server: Server, pool: str, new_listener: NewListener) -> None:
    listener = new_listener("one")
    listener.url = "http://192.0.2.1"
    assert listener.begin(make_token(server.api, pool)).wait() == 2
    assert "--plain-http" in listener.news


def test_two_listeners_never_share_a_directory(server: Server, pool: str, new_listener: NewListener) -> None:
    first = new_listener("one").start(make_token(server.api, pool))
    second = new_listener("two")
    second.data = first.data
    assert second.begin(make_token(server.api, pool)).wait() == 2
    assert "another listener runs in" in second.news
    assert first.runs


def test_without_a_sandbox_a_listener_is_refused_unless_that_was_accepted(server: Server, pool: str, new_listener: NewListener) -> None:
    listener = new_listener("one", settings={"RUNNER__LOCAL__ISOLATION": "auto"})
    token = make_token(server.api, pool)
    assert listener.begin(token, bare=True).wait() == 2
    assert "terraform cannot be kept apart on this machine (bubblewrap is not installed" in listener.news
    assert "TERRAPOD_RUNNER__LOCAL__ISOLATION=none" in listener.news
    accepted = new_listener("two").start(token)  # the refusal used nothing of it
    assert "every run of the pool can read this listener's key" in accepted.news


def test_a_listener_that_leaves_frees_its_name(server: Server, pool: str, new_listener: NewListener) -> None:
    first = new_listener("one").start(make_token(server.api, pool), "--leave")
    identity = first.identity["listener-id"]
    assert first.stop() == 0
    assert server.api.get(f"agents/{identity}").json()["data"]["attributes"]["status"] == "exited"
    second = new_listener("two")
    second.name = "one"
    second.start(make_token(server.api, pool))


def test_a_revoked_listener_ends_and_stays_ended(server: Server, pool: str, new_listener: NewListener) -> None:
    listener = new_listener("one").start(make_token(server.api, pool))
    assert server.api.post(f"listeners/{listener.identity['listener-id']}/actions/revoke").status_code == 200
    assert listener.wait() == 3
    assert "the server is done with this listener:" in listener.news
    assert "revoked" in listener.news
    assert listener.begin().wait() == 3


def test_a_clock_an_hour_off_is_no_hindrance(server: Server, pool: str, new_listener: NewListener) -> None:
    listener = new_listener("one")
    listener.program = ("-c", AN_HOUR_OFF)
    listener.start(make_token(server.api, pool)).says("requests are signed by the server's")
    assert shown(server, listener)["status"] == "idle"
    assert listener.stop() == 0


def test_joining_waits_for_a_server_that_is_away(new_server: Callable[..., Server], new_listener: NewListener) -> None:
    server = new_server().start()
    pool = str(make_pool(server.api)["id"])
    token = make_token(server.api, pool)
    server.kill()
    listener = new_listener("one", server=server).begin(token).says("the server does not answer; trying again")
    server.start()
    listener.says("waiting for runs")
    server.kill()
    until(lambda: listener.news.count("the server does not answer; trying again") == 2, "the listener to notice")
    server.start()
    until(lambda: listener.news.count("the server answers again") == 2, "the listener to be back")
    assert shown(server, listener)["status"] == "idle"


def test_the_certificate_of_the_server_may_be_named(new_server: Callable[..., Server], new_listener: NewListener) -> None:
    server = new_server(dev_tls=True, settings={}).start()
    pool = str(make_pool(server.api)["id"])
    token = make_token(server.api, pool)
    stranger = new_listener("one", server=server).begin(token).says("has a certificate that does not hold")
    stranger.signal(signal.SIGKILL)
    stranger.wait()
    certificate = server.data / "dev-tls" / "cert.pem"
    listener = new_listener("two", server=server).start(token, "--certificate", str(certificate))
    assert shown(server, listener)["status"] == "idle"
    assert json.loads((listener.data / "identity.json").read_text())["url"] == server.url
