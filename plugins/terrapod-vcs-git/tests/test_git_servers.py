from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

import psutil
import pytest

from terrapod_core.plugin import Connection, Repo, VCSClient, VCSDenied, VCSFailed, VCSMissing
from terrapod_core.testing.mirrors import http_clients
from terrapod_core.testing.vcs import BOTH, NOWHERE, archived, unpacked
from terrapod_vcs_git.provider import GitProvider
from terrapod_vcs_git.scratch import Scratch
from terrapod_vcs_git.settings import GitSettings
from tests.support.forge import Answer, Asked, Forge, git
from tests.support.waiting import until

Make = Callable[[GitSettings], GitProvider]
MIB = 1 << 20
NETWORK = Repo("team/network.git")


def nothing_left(scratch: Path) -> bool:
    """No program of ours runs, and nothing of a commit lies about."""
    programs = [each.name() for each in psutil.Process().children(recursive=True) if each.status() != psutil.STATUS_ZOMBIE]
    return not any(name.startswith(("git", "ssh")) and name != "sshd" for name in programs) and not list(scratch.rglob("commit-*"))


async def test_one_directory_of_a_large_repository_costs_little(client: VCSClient, forge: Forge) -> None:
    files = {"big.bin": os.urandom(3 * MIB), "modules/vpc/main.tf": b"vpc", "modules/.gitattributes": b"* text\n"}
    made = forge.repository("team/network", files)
    sent: list[int] = []

    def weigh(asked: Asked) -> Answer:
        answer = forge._git(asked, asked.path, "")
        sent.append(len(answer.body))
        return answer

    with forge.twisted("*/git-upload-pack", weigh):
        assert set(unpacked(await archived(client, NETWORK, made.sha(), ["modules/vpc"]))) == {"modules/vpc/main.tf"}
        few = sum(sent)
        assert len(unpacked(await archived(client, NETWORK, made.sha()))) == 3
    assert few < 20_000 < 3 * MIB < sum(sent)


async def test_directories_that_a_commit_does_not_have_are_left_out(client: VCSClient, forge: Forge) -> None:
    made = forge.repository("team/network", {"a/x": "1", "b": "2"})
    assert set(unpacked(await archived(client, NETWORK, made.sha(), ["a", "nowhere/at/all"]))) == {"a/x"}
    assert unpacked(await archived(client, NETWORK, made.sha(), ["nowhere"])) == {}


async def test_a_server_that_cannot_leave_anything_out_sends_everything(client: VCSClient, forge: Forge) -> None:
    made = forge.repository("team/network", {"a/x": "1", "b": "2"})
    git("config", "uploadpack.allowFilter", "false", cwd=made.bare)
    assert set(unpacked(await archived(client, NETWORK, made.sha(), ["a"]))) == {"a/x"}
    assert (await client.commit(NETWORK, made.sha())).message == "Begin"


async def test_a_server_that_refuses_this_way_of_leaving_out_sends_everything(client: VCSClient, forge: Forge) -> None:
    made = forge.repository("team/network")
    git("config", "uploadpackfilter.allow", "false", cwd=made.bare)
    assert (await client.commit(NETWORK, made.sha())).message == "Begin"
    assert set(unpacked(await archived(client, NETWORK, made.sha(), ["nowhere"]))) == set()


async def test_a_server_that_gives_no_commit_by_its_sha_is_asked_for_branches(client: VCSClient, forge: Forge) -> None:
    made = forge.repository("team/network", {"main.tf": "one", "a/x": "x"})
    first = made.sha()
    second = made.push({"main.tf": "two"}, branch="feature/ü'$x")
    third = made.push({"main.tf": "three"}, branch="feature/ü'$x")
    git("config", "uploadpack.allowAnySHA1InWant", "false", cwd=made.bare)

    def of_old(asked: Asked) -> None:
        cast(dict[str, str], asked.headers)["git-protocol"] = ""

    with forge.twisted("*.git/*", of_old):
        for sha, content in ((first, b"one"), (second, b"two"), (third, b"three")):
            assert unpacked(await archived(client, NETWORK, sha)) == {"main.tf": content, "a/x": b"x"}
            assert unpacked(await archived(client, NETWORK, sha, ["a"])) == {"a/x": b"x"}
            assert (await client.commit(NETWORK, sha)).sha == sha
        with pytest.raises(VCSMissing):
            await client.commit(NETWORK, NOWHERE)


async def test_a_server_that_is_gone_half_way_has_failed(client: VCSClient, forge: Forge, scratch: Path) -> None:
    made = forge.repository("team/network", {"big.bin": os.urandom(MIB)})

    def cut(asked: Asked) -> Answer:
        whole = forge._git(asked, asked.path, "")
        return replace(whole, body=whole.body[: len(whole.body) // 2])

    with forge.twisted("*/git-upload-pack", cut), pytest.raises(VCSFailed, match="localhost"):
        await archived(client, NETWORK, made.sha())
    assert nothing_left(scratch)


async def test_errors_of_the_server_are_told_with_their_status(client: VCSClient, forge: Forge) -> None:
    made = forge.repository("team/network")
    with forge.twisted("*.git/*", Answer(503, b"<h1>secret words</h1>")), pytest.raises(VCSFailed, match="answered 503"):
        await client.commit(NETWORK, made.sha())
    with forge.twisted("*.git/*", Answer(403)), pytest.raises(VCSDenied, match="wrong or have ended, or lack the right"):
        await client.commit(NETWORK, made.sha())


async def test_a_server_that_keeps_silent_is_left_and_its_programs_are_ended(
    make: Make, https: Connection, forge: Forge, scratch: Path
) -> None:
    made = forge.repository("team/network")
    enough = threading.Event()

    def wait(asked: Asked) -> Answer | None:
        enough.wait(60)
        return None

    async with make(GitSettings(ask_seconds=1, fetch_seconds=1)).client(https) as client:
        with forge.twisted("*.git/*", wait):
            for ask in (client.repository(NETWORK), client.commit(NETWORK, made.sha()), archived(client, NETWORK, made.sha())):
                with pytest.raises(VCSFailed, match="within 1 s"):
                    await ask
                assert nothing_left(scratch)
            enough.set()


async def test_a_call_that_is_canceled_leaves_nothing(client: VCSClient, forge: Forge, scratch: Path) -> None:
    made = forge.repository("team/network")
    asked, enough = threading.Event(), threading.Event()

    def wait(_: Asked) -> Answer | None:
        asked.set()
        enough.wait(60)
        return None

    with forge.twisted("*.git/*", wait):
        task = asyncio.ensure_future(client.commit(NETWORK, made.sha()))
        assert await asyncio.to_thread(asked.wait, 60)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.to_thread(until, lambda: nothing_left(scratch), "the programs to end")
        enough.set()


async def test_more_than_the_limit_is_not_taken(make: Make, https: Connection, forge: Forge, scratch: Path) -> None:
    made = forge.repository("team/network", {"big.bin": os.urandom(3 * MIB)})
    again = os.urandom(3 * MIB // 4)
    same = forge.repository("team/same", {f"{number}.bin": again for number in range(4)})
    async with make(GitSettings(max_bytes=2 * MIB)).client(https) as client:
        with pytest.raises(VCSFailed, match="max_bytes"):
            await archived(client, NETWORK, made.sha())
        with pytest.raises(VCSFailed, match="max_bytes"):
            await archived(client, replace(NETWORK, path="team/same.git"), same.sha())
    assert nothing_left(scratch)


@pytest.mark.parametrize("name", ["git", "ssh"])
async def test_a_program_that_is_not_installed_is_named(
    provider: GitProvider, ssh: Connection, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only = tmp_path / "bin"
    only.mkdir()
    if name == "ssh":
        (only / "git").symlink_to("/usr/bin/git")
    monkeypatch.setenv("PATH", str(only))
    connection = ssh if name == "ssh" else Connection("vcs-1", "https://localhost:1", {})
    async with provider.client(connection) as client:
        with pytest.raises(VCSFailed, match=f"^{name}: .*not installed"):
            await client.commit(NETWORK, NOWHERE)


def test_what_a_killed_server_left_is_removed_by_the_next_and_a_living_ones_is_not(make: Make, scratch: Path) -> None:
    code = (
        "import asyncio, pathlib, sys, time\nfrom terrapod_vcs_git.scratch import Scratch\nasync def main():\n"
        f"    async with Scratch(pathlib.Path({str(scratch)!r})).directory() as path:\n"
        "        print(path, flush=True)\n        time.sleep(600)\nasyncio.run(main())\n"
    )
    others = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    paths = [Path(each.stdout.readline().strip()) for each in others if each.stdout is not None]
    try:
        others[0].send_signal(signal.SIGKILL)
        others[0].wait()
        make(GitSettings())
        assert [path.is_dir() for path in paths] == [False, True]
    finally:
        for each in others:
            each.kill()
            each.wait()
            each.stdout.close()  # type: ignore[union-attr]


async def test_a_directory_is_made_again_when_somebody_removed_it(scratch: Path) -> None:
    made = Scratch(scratch)
    async with made.directory() as first:
        assert first.stat().st_mode & 0o777 == 0o700
    shutil.rmtree(scratch)
    async with made.directory() as second:
        assert second.is_dir()
    made.close()
    assert not (scratch / first.parent.name).exists()


async def test_a_repository_without_commits_and_one_that_anybody_may_read(provider: GitProvider, forge: Forge) -> None:
    made = forge.repository("team/network")
    git("update-ref", "-d", "refs/heads/main", cwd=made.bare)
    forge.tokens.add(None)  # type: ignore[arg-type]
    anybody = Connection("vcs-1", forge.url, {})
    async with provider.client(anybody) as client:
        info = await client.repository(NETWORK)
        assert (info.default_branch, info.private, info.http_url) == ("", False, f"{forge.url}/team/network.git")
        refs = await client.refs(NETWORK, BOTH, None)
        assert refs is not None
        assert not refs.branches
        assert (await client.account()).startswith("anybody at localhost")


async def test_a_certificate_that_nobody_vouches_for_is_refused(forge: Forge, https: Connection, tmp_path: Path) -> None:
    made = forge.repository("team/network")
    strict = GitProvider(GitSettings(), http_clients(), tmp_path / "strict")
    async with strict.client(https) as client:
        with pytest.raises(VCSFailed, match="certificate"):
            await client.commit(NETWORK, made.sha())


async def test_requests_go_through_the_proxy_of_the_settings(forge: Forge, https: Connection, tmp_path: Path) -> None:
    made = forge.repository("team/network")
    asked: list[str] = []

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while piece := await reader.read(1 << 16):
                writer.write(piece)
                await writer.drain()
        except ConnectionError:
            pass
        writer.close()

    async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).decode())
        onward = await asyncio.open_connection("127.0.0.1", forge.port)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await asyncio.gather(pass_on(reader, onward[1]), pass_on(onward[0], writer))

    server = await asyncio.start_server(tunnel, "127.0.0.1", 0)
    async with server:
        proxy = f"http://user:pass@127.0.0.1:{server.sockets[0].getsockname()[1]}"
        behind = GitProvider(GitSettings(), http_clients(forge.ca_file, proxy), tmp_path / "behind")
        async with behind.client(replace(https, base_url="https://localhost:4433")) as client:
            assert await client.refs(NETWORK, BOTH, None)
            assert (await client.commit(NETWORK, made.sha())).message == "Begin"
    assert len(asked) >= 2
    assert all(each.startswith("CONNECT localhost:4433 ") and "dXNlcjpwYXNz" in each for each in asked)
