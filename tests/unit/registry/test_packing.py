"""What of a directory becomes a module's archive."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from terrapod_core.errors import Invalid
from terrapod_core.registry.contents.ignoring import Ignored
from terrapod_core.registry.contents.packing import pack, packable
from terrapod_core.registry.contents.tree import read
from terrapod_core.tarballs import ArchiveLimits
from tests.support.publishing import write


def archived(directory: Path) -> bytes:
    into = io.BytesIO()
    files = packable(directory)
    sizes: list[int] = []
    pack(files, into, sizes.append)
    assert sum(sizes) == sum(each.size for each in files)
    return into.getvalue()


@pytest.mark.parametrize(
    ("lines", "ignored", "packed"),
    [
        ("", [".git/config", "a/.git/x", ".terraform/providers/p"], [".terraform/modules/m/main.tf", ".gitignore", "git/x"]),
        ("name", ["name", "a/name"], ["name/inside", "names"]),
        ("name/", ["name/a", "b/name/c/d"], ["name", "names/a"]),
        ("/name", ["name"], ["a/name"]),
        ("*.bak", ["x.bak", "a/x.bak", ".bak"], ["x.bak.tf", "bak"]),
        ("a*c", ["ac", "abbc", "x/abc"], ["a/c"]),
        ("a?c", ["abc", "x/a-c"], ["a/c", "abbc"]),
        ("docs/**/draft", ["docs/draft", "docs/a/b/draft", "x/docs/draft"], ["docs/drafts", "draft"]),
        ("set[ab]", ["seta", "setb"], ["setc", "set[ab]"]),
        ("\\#odd", ["#odd"], ["\\#odd"]),
        ("# comment\n\n   \n  spaced  ", ["spaced"], ["# comment", "comment"]),
        ("logs/\n!logs/keep", ["logs/a"], ["logs/keep"]),
        ("!keep\nkeep", ["keep"], []),
        ("a+b(c", ["a+b(c"], ["aab(c"]),
        ("open[", ["open["], ["open"]),
        ("wrong[z-a]", [], ["wrongz"]),
        ("!.git/config", [".git/HEAD"], [".git/config"]),
    ],
)
def test_rules_mean_what_they_mean_to_terraform(lines: str, ignored: list[str], packed: list[str]) -> None:
    rules = Ignored(lines.splitlines())
    assert [path for path in (*ignored, *packed) if rules.ignores(path)] == ignored


def test_nobody_looks_into_a_directory_of_which_nothing_can_be_packed() -> None:
    rules = Ignored(["all/", "some/", "!some/kept"])
    assert not rules.ignores_all_of("all"), "a later rule may take something of it back"
    assert Ignored(["!x", "all/"]).ignores_all_of("all")
    assert not rules.ignores_all_of("other")


def test_the_same_files_are_the_same_bytes_whenever_they_were_written_and_packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = write(tmp_path / "one", {"b.tf": "b", "a/c.tf": "c"})
    other = write(tmp_path / "other", {"a/c.tf": "c", "b.tf": "b"})
    os.utime(other / "b.tf", (10**9, 10**9))
    first = archived(one)
    monkeypatch.setattr("time.time", lambda: 10.0**9)
    assert archived(other) == first


def test_only_the_right_to_execute_is_kept_of_a_files_mode(tmp_path: Path) -> None:
    write(tmp_path, {"run.sh": "", "main.tf": ""})
    (tmp_path / "run.sh").chmod(0o700)
    (tmp_path / "main.tf").chmod(0o600)
    with tarfile.open(fileobj=io.BytesIO(archived(tmp_path))) as tar:
        assert {member.name: oct(member.mode) for member in tar} == {"run.sh": "0o755", "main.tf": "0o644"}


def test_links_become_what_they_point_at_so_that_terraform_finds_it(tmp_path: Path) -> None:
    directory = write(tmp_path / "m", {"common/versions.tf": "terraform {}", "main.tf": ""})
    (directory / "versions.tf").symlink_to("common/versions.tf")
    (directory / "modules").mkdir()
    (directory / "modules" / "same").symlink_to("../common")
    tree = read(io.BytesIO(archived(directory)), ArchiveLimits())
    assert tree.files["versions.tf"] == tree.files["modules/same/versions.tf"] == b"terraform {}"


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("../secret", "leads out of"),
        ("/etc/passwd", "leads out of"),
        ("nowhere", "leads nowhere"),
        ("link", "leads nowhere"),
        (".", "in a circle"),
    ],
)
def test_a_link_that_would_pack_something_else_is_refused_unless_it_is_ignored(tmp_path: Path, target: str, says: str) -> None:
    write(tmp_path, {"secret": "x"})
    directory = write(tmp_path / "m", {"main.tf": ""})
    (directory / "link").symlink_to(target)
    with pytest.raises(Invalid, match=f"link is a symbolic link that .*{says}"):
        packable(directory)
    write(directory, {".terraformignore": "link\n"})
    assert [each.path for each in packable(directory)] == [".terraformignore", "main.tf"]


def test_a_circle_of_two_links_is_found(tmp_path: Path) -> None:
    write(tmp_path, {"a/x": "", "b/y": ""})
    (tmp_path / "a" / "to_b").symlink_to("../b")
    (tmp_path / "b" / "to_a").symlink_to("../a")
    with pytest.raises(Invalid, match="leads in a circle"):
        packable(tmp_path)


def test_pipes_and_empty_directories_are_not_packed(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "pipe")
    write(tmp_path, {"main.tf": ""})
    assert [each.path for each in packable(tmp_path)] == ["main.tf"]
