"""What a large repository costs in memory: the server's, and that of the programs it has for it."""

from __future__ import annotations

import os
from pathlib import Path

from tests.bench.parts.states import peak_of
from tests.bench.parts.vcs import followed
from tests.bench.tools.report import Report, mebibytes, seconds
from tests.bench.tools.servers import BenchServer, Programs
from tests.support.followed import ANY_GIT, KINDS, Followed
from tests.support.forge import MAIN_TF, Repository, git

MEMORY = 48 * 2**20
PIECE = 2**24
WANTED = 2 * 2**20
PATIENCE = 300.0
"""Seconds for one fetch: the doubles pack and send half a gigabyte in Python."""

GITLAB, GITHUB, PLAIN = (KINDS["gitlab"], "sends the directory"), (KINDS["github"], "sends all of it"), (ANY_GIT, "git's own protocol")
"""Who sends the files, and in which way."""

PACKING, GIT = "terrapod_core.vcs.packing", "git"


def large(report: Report, directory: Path, *, size: int, everything: bool) -> None:
    """The server's peak while it fetches a commit and keeps a directory of it, or all of it: from GitHub, and with `everything` by git."""
    report.section(f"a repository of {mebibytes(size)}, 2 MiB of it in the working directory; memory is the process's peak above idle")
    report.doing("the repository")
    much = _much(directory / "much", size)
    both = (True, False)
    for (kind, way), choices in ((GITLAB, (True,)), (GITHUB, both), (PLAIN, both if everything else (True,))):
        with followed(directory / kind.name, kind, VCS__POLL_SECONDS="2", VCS__POLL_QUIET_SECONDS="2") as site:
            small = site.repository({"infra/main.tf": MAIN_TF})
            for sparse in choices:
                _workspace(site, small, sparse=sparse)  # what is loaded with the first
            repo = _borrowing(site, much)
            for sparse in choices:
                report.doing(f"{kind.name}, {'2 MiB' if sparse else 'everything'}")
                _fetch(report, site, repo, f"{kind.name}, {way}", sparse=sparse)


def _fetch(report: Report, site: Followed, repo: Repository, forge: str, *, sparse: bool) -> None:
    server = site.server
    assert isinstance(server, BenchServer)
    with Programs(server.pid, PACKING, GIT) as programs:
        took, peak = peak_of(server.resident(), lambda: _workspace(site, repo, sparse=sparse))
    names = {PACKING: "repacking", GIT: "git"}
    beside = [f"{names[kind]} {mebibytes(most)}" for kind, most in programs.peaks.items()]
    what = f"{forge}; {'the directory' if sparse else 'everything'} kept"
    report.add(what, mebibytes(peak), ", ".join([*beside, seconds(took)]), aim="under 48 MiB above idle", met=peak < MEMORY)


def _workspace(site: Followed, repo: Repository, *, sparse: bool) -> None:
    follower = site.workspace(repo, awaited=False, working_directory="infra", vcs_sparse_fetch=sparse)
    follower.until_change(repo.sha(), "skipped", "started", seconds=PATIENCE)


def _much(copy: Path, size: int) -> Path:
    """A repository of bytes that cannot be compressed, made without trying to."""
    copy.mkdir(parents=True)
    git("init", "-q", "-b", "main", cwd=copy)
    git("config", "core.compression", "0", cwd=copy)
    git("config", "core.bigFileThreshold", "1m", cwd=copy)
    (copy / "infra").mkdir()
    (copy / "infra" / "main.tf").write_text(MAIN_TF)
    (copy / "infra" / "data.bin").write_bytes(os.urandom(WANTED))
    (copy / "data").mkdir()
    for number in range(size // PIECE):
        (copy / "data" / f"{number}.bin").write_bytes(os.urandom(PIECE))
    git("add", "-A", cwd=copy)
    git("commit", "-q", "-m", "Much of it", cwd=copy)
    return copy


def _borrowing(site: Followed, much: Path) -> Repository:
    """A repository of the forge that has the same commit, its objects those of the other one."""
    repo = site.repository()
    (repo.bare / "objects" / "info" / "alternates").write_text(f"{much / '.git' / 'objects'}\n")
    git("update-ref", "refs/heads/main", git("rev-parse", "HEAD", cwd=much), cwd=repo.bare)
    git("config", "core.compression", "0", cwd=repo.bare)
    git("config", "core.bigFileThreshold", "1m", cwd=repo.bare)
    return repo
