"""The zoo of module archives: what terraform can install is read, all else is refused with the reason, and nothing is written."""

from __future__ import annotations

import gzip
import io
import os
import re
import sys
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from terrapod_core.errors import Invalid
from terrapod_core.registry.contents.tree import ALL_BYTES, FILE_BYTES, Tree, is_licence, is_readme, read
from terrapod_core.tarballs import RATIO_FROM, ArchiveLimits
from tests.support.wire import archive, entry, packed
from tests.support.zoo import BROKEN, HOSTILE, MAIN, WRONG_WRAPPERS, Members, link, tar_of

LIMITS = ArchiveLimits()


def tree(data: bytes, limits: ArchiveLimits = LIMITS) -> Tree:
    with nothing_written():
        return read(io.BytesIO(data), limits)


class Watch:
    """Sees what a process writes, makes and starts: an audit hook, which stays for good and is asked to look now and then."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.looks = False
        sys.addaudithook(self._heard)

    def _heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.looks and (event in MAKES or (event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))):
            self.seen.append(f"{event} {arguments[0]!r}")


MAKES = {"os.mkdir", "os.symlink", "os.link", "os.rename", "os.remove", "os.chmod", "os.chown", "subprocess.Popen", "os.system"}
WATCH = Watch()


@contextmanager
def nothing_written() -> Iterator[None]:
    """Fails when what is inside writes a file, or makes or starts anything."""
    WATCH.seen.clear()
    WATCH.looks = True
    try:
        yield
    finally:
        WATCH.looks = False
    assert not WATCH.seen


def test_the_watch_sees_what_is_written(tmp_path: Path) -> None:
    with pytest.raises(AssertionError), nothing_written():
        (tmp_path / "a").write_text("x")


def test_a_module_at_the_root_is_read_as_it_is() -> None:
    found = tree(archive({"main.tf": "locals {}\n", "README.md": "hello", "scripts/run.sh": "exit\n", "modules/a/main.tf": ""}))
    assert found.wrapper == ""
    assert found.files == {"main.tf": b"locals {}\n", "README.md": b"hello", "modules/a/main.tf": b""}


def test_the_usual_wrapper_directory_is_found_and_left_out_of_paths() -> None:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", pax_headers={"comment": "a" * 40}) as tar:  # as git archive, and GitHub, make one
        for member, content in (
            entry("terraform-aws-net-1.0.0/", kind=tarfile.DIRTYPE),
            entry("terraform-aws-net-1.0.0/main.tf", b"x"),
            entry("terraform-aws-net-1.0.0/LICENSE", b"y"),
        ):
            tar.addfile(member, io.BytesIO(content))
    found = tree(gzip.compress(raw.getvalue()))
    assert found.wrapper == "terraform-aws-net-1.0.0"
    assert found.files == {"main.tf": b"x", "LICENSE": b"y"}


def test_what_one_system_leaves_beside_a_wrapper_does_not_count() -> None:
    assert tree(archive({"m/main.tf": "", "._m": "", ".DS_Store": "", "__MACOSX/._m": ""})).wrapper == "m"


def test_a_dot_before_every_path_is_no_wrapper() -> None:
    assert tree(archive({"./main.tf": "", "./modules/a/main.tf": ""})) == Tree("", {"main.tf": b"", "modules/a/main.tf": b""}, {})


def test_a_module_that_has_only_submodules_is_one_wrapped_or_not() -> None:
    assert tree(archive({"modules/a/main.tf": ""})).wrapper == ""
    assert tree(archive({"iam/modules/a/main.tf": "", "iam/README.md": ""})).wrapper == "iam"


def test_a_module_in_json_or_of_opentofu_alone_is_one() -> None:
    for name in ("main.tf.json", "main.tofu", "main.tofu.json"):
        assert set(tree(archive({f"w/{name}": ""})).files) == {name}


@pytest.mark.parametrize(("files", "says"), WRONG_WRAPPERS.values(), ids=WRONG_WRAPPERS.keys())
def test_what_terraform_would_find_no_module_in_is_refused(files: Mapping[str, str | bytes], says: str) -> None:
    with pytest.raises(Invalid, match=re.escape(says)) as refusal:
        tree(archive(files))
    assert refusal.value.code == "bad_archive"


@pytest.mark.parametrize(("members", "says"), HOSTILE.values(), ids=HOSTILE.keys())
def test_what_could_leave_the_tree_or_not_be_unpacked_is_refused_by_name(members: Members, says: str) -> None:
    with pytest.raises(Invalid, match=re.escape(says)) as refusal:
        tree(tar_of(members))
    assert refusal.value.detail.startswith("the module archive is refused: ")


def test_links_beside_the_configuration_are_accepted_and_not_followed() -> None:
    found = tree(packed([MAIN, link("docs/latest", "../main.tf"), link("README.md", "docs/latest")]))
    assert set(found.files) == {"main.tf"}


def test_a_bomb_is_refused_by_its_ratio() -> None:
    with pytest.raises(Invalid, match="more than 200 times its size"):
        tree(packed([MAIN, entry("zeros", bytes(RATIO_FROM * 2))]))


def test_a_bomb_is_refused_by_its_unpacked_size() -> None:
    noise = os.urandom(1 << 20)
    with pytest.raises(Invalid, match="unpacks to more than 1000000 bytes"):
        tree(packed([MAIN, entry("noise", noise)]), ArchiveLimits(unpacked_bytes=1_000_000))


def test_a_bomb_in_a_file_of_configuration_is_never_kept() -> None:
    found = tree(archive({"main.tf": b"\n" * (FILE_BYTES + 1), "ok.tf": b""}))
    assert found == Tree("", {"ok.tf": b""}, {"main.tf": "it is larger than 524288 bytes"})


def test_what_is_kept_of_one_archive_is_bounded() -> None:
    files = {f"f{number:02}.tf": os.urandom(FILE_BYTES // 2) * 2 for number in range(ALL_BYTES // FILE_BYTES + 2)}
    found = tree(archive(files))
    assert sum(map(len, found.files.values())) == ALL_BYTES
    assert list(found.unread) == ["f64.tf", "f65.tf"]


def many(count: int) -> bytes:
    return packed([MAIN, *(entry(f"files/{number}.txt") for number in range(count - 1))])


@pytest.mark.slow
def test_as_many_files_as_the_limit_has_are_accepted_and_one_more_is_refused() -> None:
    assert set(tree(many(100_000)).files) == {"main.tf"}
    with pytest.raises(Invalid, match="more than 100000 entries"):
        tree(many(100_001))


@pytest.mark.parametrize(("data", "says"), BROKEN.values(), ids=BROKEN.keys())
def test_what_is_not_a_whole_archive_is_refused(data: bytes, says: str) -> None:
    with pytest.raises(Invalid, match=says):
        tree(data)


def test_a_path_that_is_there_twice_has_its_last_content_as_whoever_unpacks_it_finds() -> None:
    assert tree(packed([entry("main.tf", b"one"), entry("main.tf", b"two")])).files == {"main.tf": b"two"}


@pytest.mark.parametrize("name", ["README.md", "readme", "Readme.markdown", "README.txt"])
def test_a_readme_is_known_by_its_name(name: str) -> None:
    assert is_readme(name)
    assert not is_readme(f"not-{name}")


@pytest.mark.parametrize("name", ["LICENSE", "LICENCE.txt", "license.md", "COPYING", "LICENSE-APACHE", "UNLICENSE"])
def test_a_licence_is_known_by_its_name(name: str) -> None:
    assert is_licence(name)
    assert not is_licence(f"my-{name}")
