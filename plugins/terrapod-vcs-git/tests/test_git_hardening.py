from __future__ import annotations

import base64
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from terrapod_core.plugin import Connection, RefKind, Repo, VCSClient, VCSFailed, VCSMissing
from terrapod_core.testing.vcs import BOTH, archived, unpacked
from terrapod_vcs_git.provider import GitProvider
from tests.support.forge import Answer, Asked, Forge, git
from tests.support.git_sshd import GitSshd

TOKEN = "forge-token"
NETWORK = Repo("team/network.git")


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], str]:
    """Every `git` and `ssh` writes down its arguments, and its environment in a file of its own; what the arguments were."""
    wrappers = tmp_path / "wrappers"
    wrappers.mkdir()
    for name in ("git", "ssh"):
        real = shutil.which(name)
        script = f'#!/bin/sh\ntr "\\0" " " < /proc/$$/cmdline >> {wrappers}/arguments\nenv > {wrappers}/environment.$$\nexec {real} "$@"\n'
        (wrappers / name).write_text(script)
        (wrappers / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{wrappers}:{os.environ['PATH']}")
    return (wrappers / "arguments").read_text


def command_lines() -> Iterator[str]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue


def below(directory: Path, pattern: str) -> list[Path]:
    return list(directory.rglob(pattern))


def written(directory: Path) -> bytes:
    """All that stands in files below."""
    return b"\n".join(path.read_bytes() for path in directory.rglob("*") if path.is_file())


async def test_a_token_is_in_no_command_line_and_in_no_file(
    client: VCSClient, forge: Forge, scratch: Path, recorded: Callable[[], str]
) -> None:
    made = forge.repository("team/network")
    basic = base64.b64encode(f"terrapod:{TOKEN}".encode()).decode()
    seen: list[str] = []

    def look(asked: Asked) -> Answer | None:
        if asked.token == TOKEN:
            seen.extend(command_lines())
            seen.append(written(scratch).decode(errors="replace"))
        return None

    with forge.twisted("*.git/*", look):
        assert await archived(client, NETWORK, made.sha(), ["modules"])
        await client.repository(NETWORK)
    whole = "\n".join([*seen, recorded()])
    assert "remote-https" in whole
    assert TOKEN not in whole
    assert basic not in whole


async def test_a_private_key_is_in_a_private_file_as_long_as_it_is_used(
    provider: GitProvider, ssh: Connection, forge: Forge, scratch: Path, sshd: GitSshd, recorded: Callable[[], str]
) -> None:
    sha = forge.repository("team/network").sha()
    async with provider.client(ssh) as client:
        await client.commit(NETWORK, sha)
        pieces = client.archive(NETWORK, sha, ())
        await anext(pieces)
        keys = below(scratch, "key")
        assert [each.stat().st_mode & 0o777 for each in keys] == [0o600]
        assert all(each.stat().st_mode & 0o077 == 0 for each in (scratch, *below(scratch, "server-*"), *below(scratch, "commit-*")))
        await pieces.aclose()  # type: ignore[attr-defined]
    assert "StrictHostKeyChecking=yes" in recorded()
    assert sshd.private().splitlines()[2] not in recorded()
    assert b"PRIVATE KEY" not in written(scratch)


async def test_programs_see_nothing_of_the_servers_environment_and_settings(
    client: VCSClient, forge: Forge, recorded: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha = forge.repository("team/network").sha()
    home = tmp_path / "somebody"
    home.mkdir()
    (home / ".gitconfig").write_text('[url "https://elsewhere.invalid/"]\n\tinsteadOf = https://localhost\n')
    for name, value in {
        "HOME": home,
        "TERRAPOD_SECRETS__KEYS": "x",
        "GIT_TRACE": "1",
        "GIT_SSL_NO_VERIFY": "1",
        "https_proxy": "x",
    }.items():
        monkeypatch.setenv(name, str(value))
    await client.commit(NETWORK, sha)
    environments = [path.read_text() for path in (tmp_path / "wrappers").glob("environment.*")]
    assert environments
    for each in environments:
        assert not any(name in each for name in ("TERRAPOD_", "GIT_TRACE", "NO_VERIFY", "https_proxy", "somebody"))
        assert "GIT_TERMINAL_PROMPT=0" in each
    asking = [each for each in environments if "GIT_ALLOW_PROTOCOL=https:ssh\n" in each]
    assert all(("extraHeader" in each) == (each in asking) for each in environments)


async def test_a_redirect_is_not_followed(client: VCSClient, forge: Forge) -> None:
    sha = forge.repository("team/network").sha()
    forge.repository("team/elsewhere")
    moved = Answer(301, b"", {"Location": f"{forge.url}/team/elsewhere.git/info/refs?service=git-upload-pack"})
    with forge.twisted("/team/network.git/*", moved):
        with pytest.raises(VCSFailed, match="redirects are not followed"):
            await client.refs(NETWORK, BOTH, None)
        with pytest.raises(VCSFailed, match="redirects are not followed"):
            await client.commit(NETWORK, sha)
    assert not forge.count("/team/elsewhere.git/*")


async def test_a_host_key_that_changed_or_is_not_known_is_refused(
    provider: GitProvider, ssh: Connection, sshd: GitSshd, forge: Forge
) -> None:
    sha = forge.repository("team/network").sha()
    other = sshd.known_hosts.replace("127.0.0.1", "127.0.0.2")
    async with provider.client(replace(ssh, values={**ssh.values, "known-hosts": other})) as client:
        with pytest.raises(VCSFailed, match=r"host key .*\. Compare it with what the operator of 127\.0\.0\.1"):
            await client.refs(NETWORK, BOTH, None)
    sshd.change_host_key()
    async with provider.client(ssh) as client:
        for ask in (client.refs(NETWORK, BOTH, None), client.commit(NETWORK, sha), client.account()):
            with pytest.raises(VCSFailed, match="host key"):
                await ask


@pytest.mark.parametrize("path", ["-x", "--upload-pack=touch x", "../escape", "a/../../b", "ext::sh -c id", "file:///etc", "a\nb", ""])
async def test_a_path_that_leads_elsewhere_is_not_asked_for(client: VCSClient, forge: Forge, path: str) -> None:
    for ask in (client.refs(Repo(path), BOTH, None), client.repository(Repo(path)), client.commit(Repo(path), "0" * 40)):
        with pytest.raises(VCSMissing):
            await ask
    assert not forge.count()


@pytest.mark.parametrize("sha", ["-x", "--output=x", "HEAD", "main", "0" * 39, "refs/heads/main", "g" * 40])
async def test_what_is_no_sha_is_no_commit(client: VCSClient, forge: Forge, sha: str) -> None:
    forge.repository("team/network")
    forge.forget()
    with pytest.raises(VCSMissing):
        await client.commit(NETWORK, sha)
    with pytest.raises(VCSMissing):
        await archived(client, NETWORK, sha)
    assert not forge.count()


async def test_directories_that_look_like_options_or_patterns_are_taken_by_name(client: VCSClient, forge: Forge) -> None:
    made = forge.repository("team/network", {"-x/a": "1", "*/b": "2", ":(top)/c": "3", "d/e": "4"})
    for name, found in (("-x", {"-x/a"}), ("*", {"*/b"}), (":(top)", {":(top)/c"})):
        assert set(unpacked(await archived(client, NETWORK, made.sha(), [name]))) == found


async def test_submodules_and_pointers_of_lfs_come_as_they_are(client: VCSClient, forge: Forge, tmp_path: Path) -> None:
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'1' * 64}\nsize 12\n"
    hostile = '[submodule "x"]\n\tpath = sub\n\turl = ext::touch pwned\n'
    made = forge.repository(
        "team/network", {"big.bin": pointer, ".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n", ".gitmodules": hostile}
    )
    made.git("update-index", "--add", "--cacheinfo", f"160000,{made.sha()},sub")
    made.git("commit", "-q", "-m", "Add a submodule")
    made.git("push", "-q", "origin", "HEAD:refs/heads/main")
    for paths in ((), ("sub",)):
        found = unpacked(await archived(client, NETWORK, made.sha(), paths))
        assert found.get("big.bin", pointer.encode()) == pointer.encode()
        assert not any(name.startswith("sub/") for name in found)


async def test_names_of_branches_are_whatever_text_git_allows(
    client: VCSClient, provider: GitProvider, forge: Forge, request: pytest.FixtureRequest
) -> None:
    made = forge.repository("team/network")
    odd = ["feature/ünï-✓", "a'b\"c$d&e(f)g;h|i<j>k!l#m%n+o,p=q@r{s}t`u", "-x", "--upload-pack=id", "@", "a.b"]
    for name in [*odd, os.fsdecode(b"latin-\xe9")]:
        git("update-ref", f"refs/heads/{name}", made.sha(), cwd=made.bare)
        git("update-ref", f"refs/tags/{name}", made.sha(), cwd=made.bare)
    expected = dict.fromkeys([*odd, "main"], made.sha())
    refs = await client.refs(NETWORK, BOTH, None)
    assert refs is not None
    assert (refs.branches, refs.tags) == (expected, dict.fromkeys(odd, made.sha()))
    async with provider.client(request.getfixturevalue("ssh")) as over_ssh:
        assert (await over_ssh.refs(NETWORK, frozenset({RefKind.BRANCH}), None)).branches == expected  # type: ignore[union-attr]
