from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from terrapod_core.runner.client import Server
from terrapod_core.runner.failures import PhaseGone, Refused
from terrapod_core.runner.lines import PlainLines
from terrapod_core.runner.log import PhaseLog
from terrapod_core.runner.loopback import LoopbackBackend
from terrapod_core.runner.masking import Masker
from terrapod_core.runner.state_file import take_if_newer
from terrapod_core.runner.states import NoState, StateKeeper


class Remote(Server):
    """A server in memory: a log that only grows at its end, and the states it was given."""

    def __init__(self) -> None:
        super().__init__("http://unused", "", "", certificate=None)
        self.log = bytearray()
        self.states: list[tuple[dict[str, str | int], bytes]] = []
        self.before: Callable[[str], None] = lambda _: None

    def put(self, path: str, body: bytes | Path, **query: str | int) -> Mapping[str, Any]:
        self.before(path)
        data = body if isinstance(body, bytes) else body.read_bytes()
        if path == "/state":
            self.states.append((query, data))
            return {}
        if query["offset"] != len(self.log):
            raise Refused(409, "not the end", size=len(self.log))
        self.log += data
        return {"size": len(self.log), "cancel": "interrupt"}


def state(serial: int, lineage: str = "l") -> bytes:
    return json.dumps({"version": 4, "serial": serial, "lineage": lineage}).encode()


def written(keeper: StateKeeper, data: bytes) -> Path:
    path = keeper.new_file()
    path.write_bytes(data)
    return path


def test_a_log_arrives_masked_and_whole_before_it_is_closed(tmp_path: Path) -> None:
    remote, heard = Remote(), list[object]()
    log = PhaseLog(tmp_path / "log", remote, lines=PlainLines(Masker([b"secret-value"])), limit=1000, hear=heard.append)
    log.say("Terraform")
    log.write(b"it is secret-")
    log.write(b"value\n")
    assert log.close() == len(remote.log)
    assert remote.log == b"Terraform\nit is ***\n"
    assert set(heard) == {"interrupt"}


def test_a_server_that_has_less_or_more_than_we_thought_gets_the_rest_once(tmp_path: Path) -> None:
    remote = Remote()
    log = PhaseLog(tmp_path / "log", remote, lines=PlainLines(Masker([])), limit=1000, hear=lambda _: None)
    log.write(b"0123456789")
    first = threading.Event()

    def forget_once(_: str) -> None:
        remote.before = lambda _: None
        del remote.log[4:]
        first.set()

    remote.before = forget_once
    log.write(b"abc")
    log.close()
    assert first.is_set()
    assert remote.log == b"0123456789abc"


@pytest.mark.parametrize(
    ("chunks", "kept"),
    [([b"1234567"] * 5, b"1234567123\n"), ([b"1234\n", b"56789\n", b"0\n"], b"1234\n"), ([b"12\n34\n567890\n"], b"12\n34\n")],
)
def test_a_log_over_its_limit_ends_with_a_whole_line_says_so_once_and_drops_the_rest(
    tmp_path: Path, chunks: list[bytes], kept: bytes
) -> None:
    remote = Remote()
    log = PhaseLog(tmp_path / "log", remote, lines=PlainLines(Masker([])), limit=10, hear=lambda _: None)
    for chunk in chunks:
        log.write(chunk)
    log.close()
    assert remote.log == kept + b"[The log ends here: it reached 10 bytes. The rest is not kept; the run goes on.]\n"


def test_a_log_the_server_refuses_does_not_hold_the_phase_up(tmp_path: Path) -> None:
    remote = Remote()

    def refuse(_: str) -> None:
        raise Refused(413, "too large")

    remote.before = refuse
    log = PhaseLog(tmp_path / "log", remote, lines=PlainLines(Masker([])), limit=10, hear=lambda _: None)
    log.write(b"x")
    assert log.close() == 1


def test_a_state_is_delivered_with_what_identifies_it(tmp_path: Path) -> None:
    remote = Remote()
    keeper = StateKeeper(tmp_path, remote, accepts=True)
    saved = keeper.save(written(keeper, state(3)))
    assert keeper.delivered(saved, 10)
    assert keeper.finish() is None
    assert remote.states == [({"serial": 3, "lineage": "l", "md5": hashlib.md5(state(3)).hexdigest()}, state(3))]
    assert keeper.keep_undelivered(tmp_path) is None


def test_a_state_waits_in_its_file_while_the_server_is_away_and_a_newer_one_takes_its_place(tmp_path: Path) -> None:
    remote, back = Remote(), threading.Event()

    def wait(_: str) -> None:
        back.wait(10)

    remote.before = wait
    keeper = StateKeeper(tmp_path, remote, accepts=True)
    first = keeper.save(written(keeper, state(1)))
    assert keeper.delivered(first, 0) is None
    keeper.save(written(keeper, state(2)))
    keeper.save(written(keeper, state(3)))
    back.set()
    assert keeper.finish() is None
    serials = [query["serial"] for query, _ in remote.states]
    assert serials[-1] == 3
    assert len(serials) <= 2


@pytest.mark.parametrize("error", [Refused(422, "another lineage"), PhaseGone("gone")])
def test_a_state_nobody_takes_is_kept(tmp_path: Path, error: Exception) -> None:
    remote = Remote()

    def refuse(_: str) -> None:
        raise error

    remote.before = refuse
    keeper = StateKeeper(tmp_path, remote, accepts=True)
    saved = keeper.save(written(keeper, state(1)))
    assert keeper.delivered(saved, 10) is False
    assert keeper.finish() == str(error)
    kept = keeper.keep_undelivered(tmp_path)
    assert kept is not None
    assert kept.read_bytes() == state(1)


def test_a_plan_writes_no_state(tmp_path: Path) -> None:
    keeper = StateKeeper(tmp_path, Remote(), accepts=False)
    with pytest.raises(NoState, match="does not change"):
        keeper.save(written(keeper, state(1)))


@pytest.mark.parametrize(
    ("data", "taken"),
    [(state(6), True), (state(5), False), (state(4), False), (state(6, "other"), False), (state(6)[:-3], False), (b"", False)],
)
def test_a_file_of_the_engines_counts_only_when_it_is_whole_newer_and_of_the_same_lineage(tmp_path: Path, data: bytes, taken: bool) -> None:
    remote = Remote()
    keeper = StateKeeper(tmp_path, remote, accepts=True)
    (tmp_path / "given").write_bytes(state(5))
    keeper.begin_with(tmp_path / "given")
    (tmp_path / "errored.tfstate").write_bytes(data)
    assert take_if_newer(tmp_path, Path("errored.tfstate"), keeper) is taken
    assert keeper.finish() is None
    assert [sent for _, sent in remote.states] == ([data] if taken else [])


def test_the_backend_answers_only_to_its_random_path_and_password(tmp_path: Path) -> None:
    import base64
    import urllib.error
    import urllib.request

    keeper = StateKeeper(tmp_path, Remote(), accepts=True)
    (tmp_path / "given").write_bytes(state(5))
    keeper.begin_with(tmp_path / "given")
    given = LoopbackBackend(keeper).environment
    password = base64.b64encode(f"{given['TF_HTTP_USERNAME']}:{given['TF_HTTP_PASSWORD']}".encode()).decode()

    def get(url: str, password: str) -> bytes:
        with urllib.request.urlopen(urllib.request.Request(url, headers={"Authorization": f"Basic {password}"})) as answer:
            return bytes(answer.read())

    address = given["TF_HTTP_ADDRESS"]
    assert address.startswith("http://127.0.0.1:")
    assert get(address, password) == state(5)
    for url, secret in ((address + "x", password), (address, "d3Jvbmc6d3Jvbmc=")):
        with pytest.raises(urllib.error.HTTPError) as refused:
            get(url, secret)
        assert refused.value.code == 404
        refused.value.close()
