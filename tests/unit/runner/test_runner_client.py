from __future__ import annotations

import json
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import trustme

from terrapod_core.runner import client
from terrapod_core.runner.client import Server
from terrapod_core.runner.failures import PhaseGone, Refused
from terrapod_core.runner.interruption import Interruption, Level
from terrapod_core.runs.material import RENEW_SECONDS
from terrapod_core.runs.phases import LEASE


class Scripted(ThreadingHTTPServer):
    """Answers requests with the given statuses and documents, one after the other."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.answers: list[tuple[int, object]] = []
        self.seen: list[tuple[str, str, bytes]] = []

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # a client that does not like the certificate


class Answering(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Scripted

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.seen.append((self.path, self.headers["Authorization"], body))
        status, document = self.server.answers.pop(0)
        data = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    server = Scripted()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    pauses: list[float] = []
    monkeypatch.setattr("terrapod_core.runner.client.time.sleep", pauses.append)
    return pauses


def at(server: Scripted, scheme: str = "http", certificate: str | None = None) -> Server:
    return Server(f"{scheme}://127.0.0.1:{server.server_address[1]}/base", "tok", "plan-1", certificate=certificate)


def test_calls_go_below_the_servers_own_path_with_the_phases_token(scripted: Scripted) -> None:
    scripted.answers = [(200, {"cancel": "none"})]
    connection = at(scripted)
    assert connection.post("/renew", {}) == {"cancel": "none"}
    connection.close()
    assert scripted.seen == [("/base/api/runner/v1/phases/plan-1/renew", "Bearer tok", b"{}")]


def test_a_server_in_trouble_is_asked_again_with_growing_pauses(scripted: Scripted, no_pauses: list[float]) -> None:
    scripted.answers = [(503, {}), (500, {}), (429, {}), (200, {"ok": True})]
    connection = at(scripted)
    assert connection.post("/report", {}) == {"ok": True}
    connection.close()
    assert len(no_pauses) == 3
    assert no_pauses[0] < no_pauses[2] < 5


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A server that is reached and never says anything; it takes the requests with `accept`."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def test_what_holds_the_lease_gives_a_dead_connection_up_long_before_the_lease_is_over(
    scripted: Scripted, silent: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert LEASE.total_seconds() > client.LEASE_TIMEOUT + RENEW_SECONDS
    monkeypatch.setattr(client, "LEASE_TIMEOUT", 0.2)
    monkeypatch.setattr(client, "TIMEOUT", 3600.0)
    scripted.answers = [(200, {}), (200, {}), (200, {"cancel": "none"})]
    connection = at(scripted)
    connection.post("/started", {})
    connection.hold("/renew", {})
    # From here on the connection leads nowhere, and nobody is told.
    own = connection._own.connection
    own.sock.close()
    own.sock = socket.create_connection(silent.getsockname(), timeout=own.timeout)
    assert connection.hold("/renew", {}) == {"cancel": "none"}
    assert connection._own.timeout == 3600.0
    connection.close()


@pytest.mark.parametrize("status", [401, 404])
def test_an_unknown_phase_is_gone_and_everybody_hears_it(scripted: Scripted, status: int) -> None:
    scripted.answers = [(status, {})]
    heard: list[PhaseGone] = []
    connection = Server(f"http://127.0.0.1:{scripted.server_address[1]}", "tok", "plan-1", certificate=None, on_gone=heard.append)
    with pytest.raises(PhaseGone) as gone:
        connection.post("/renew", {})
    connection.close()
    assert heard == [gone.value]
    assert not gone.value.lost


@pytest.mark.parametrize(
    "document", [{"meta": {"lost": True}, "errors": [{"detail": "late"}]}, {"errors": [{"detail": "late", "meta": {"lost": True}}]}]
)
def test_a_lost_lease_is_told_from_other_conflicts(scripted: Scripted, document: object) -> None:
    scripted.answers = [(409, document)]
    connection = at(scripted)
    with pytest.raises(PhaseGone, match="late") as gone:
        connection.post("/renew", {})
    connection.close()
    assert gone.value.lost


def test_a_permanent_no_carries_the_servers_words(scripted: Scripted, no_pauses: list[float]) -> None:
    scripted.answers = [(409, {"errors": [{"detail": "not the end"}], "meta": {"size": 7}})]
    connection = at(scripted)
    with pytest.raises(Refused, match="not the end") as refused:
        connection.post("/log", {})
    connection.close()
    assert (refused.value.status, refused.value.size, no_pauses) == (409, 7, [])


def test_exactly_the_pinned_certificate_is_accepted_whatever_name_it_has(scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = trustme.CA()
    shown, other = authority.issue_cert("some.other.name"), authority.issue_cert("127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    shown.configure_cert(context)
    scripted.socket = context.wrap_socket(scripted.socket, server_side=True)
    scripted.answers = [(200, {"ok": True})]
    connection = at(scripted, "https", shown.cert_chain_pems[0].bytes().decode())
    assert connection.post("/renew", {}) == {"ok": True}
    connection.close()

    monkeypatch.setattr(client, "PATIENCE", -1.0)
    for certificate in (other.cert_chain_pems[0].bytes().decode(), None):
        with pytest.raises(PhaseGone):
            at(scripted, "https", certificate).post("/renew", {})
    assert len(scripted.seen) == 1


class Fake:
    """A command that counts what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.dead = threading.Event()

    def interrupt(self) -> None:
        self.told.append("interrupt")

    def kill(self) -> None:
        self.told.append("kill")
        self.dead.set()


def test_a_command_gets_one_interrupt_however_often_it_is_asked_for() -> None:
    interruption, command = Interruption(), Fake()
    interruption.attach(command)
    for _ in range(3):
        interruption.hear("interrupt")
        interruption.request(Level.INTERRUPT)
    assert command.told == ["interrupt"]
    assert not interruption.killed


def test_force_is_a_second_interrupt_and_then_the_end() -> None:
    interruption, command = Interruption(force_grace=0), Fake()
    interruption.attach(command)
    interruption.hear("interrupt")
    interruption.hear("force")
    assert command.dead.wait(10)
    assert command.told == ["interrupt", "interrupt", "kill"]
    assert interruption.killed


def test_a_lost_phase_interrupts_once_and_ends_what_does_not_stop() -> None:
    interruption, command = Interruption(gone_grace=0), Fake()
    interruption.attach(command)
    interruption.abandon(PhaseGone("lost", lost=True))
    interruption.abandon(PhaseGone("again"))
    assert command.dead.wait(10)
    assert command.told == ["interrupt", "kill"]
    with pytest.raises(PhaseGone, match="lost"):
        interruption.check()


def test_a_command_that_starts_after_the_cancel_is_stopped_at_once() -> None:
    interruption, command = Interruption(), Fake()
    interruption.request(Level.INTERRUPT)
    interruption.attach(command)
    assert command.told == ["interrupt"]


def test_the_program_cannot_be_looked_into_by_its_own_user() -> None:
    code = (
        "import ctypes, os, resource; from terrapod_core.runner.__main__ import harden; harden();"
        "print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), oct(os.umask(0)), resource.getrlimit(resource.RLIMIT_CORE))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3])
    assert said.stdout.strip() == "0 0o77 (0, 0)"


@pytest.mark.parametrize("order", [b"", b"[]", b'{"url": "ftp://x"}', b'{"url": "http://x", "token": 1}'])
def test_an_order_that_is_none_ends_the_program_with_a_sentence(order: bytes) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "terrapod_core.runner"], input=order, capture_output=True, check=False, cwd=Path(__file__).parents[3]
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith(b"terrapod_core.runner: ")
    assert b"Traceback" not in ended.stderr


def test_the_program_imports_nothing_but_the_standard_library_and_itself() -> None:
    code = (
        "import sys; import terrapod_core.runner.__main__, terrapod_core.runner.plan, terrapod_core.runner.apply;"
        "print(sorted({n.partition('.')[0] for n in sys.modules} - sys.stdlib_module_names - {'__main__'}),"
        "[n for n in sys.modules if n.startswith('terrapod_core.') and '.runner' not in n])"
    )
    said = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3])
    assert said.stdout.strip() == "['terrapod_core'] []"
