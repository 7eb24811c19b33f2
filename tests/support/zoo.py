"""Archives that are no modules, or are made to do harm, and what is said of each: the same for all who refuse them."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Mapping

from terrapod_core.tarballs import RATIO_FROM
from tests.support.wire import archive, entry, packed

Members = list[tuple[tarfile.TarInfo, bytes]]
MAIN = entry("main.tf", b"locals {}\n")


def link(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    """A symbolic link."""
    return entry(name, kind=tarfile.SYMTYPE, target=target)


def tar_of(members: Members) -> bytes:
    """A tar.gz whose names may be any bytes."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.GNU_FORMAT, encoding="utf-8", errors="surrogateescape") as tar:
        for member, content in members:
            tar.addfile(member, io.BytesIO(content) if content else None)
    return gzip.compress(raw.getvalue())


WRONG_WRAPPERS: Mapping[str, tuple[Mapping[str, str | bytes], str]] = {
    "two directories": ({"a/main.tf": "", "b/main.tf": ""}, "no configuration at its root; the first is 'a/main.tf'"),
    "a file beside the directory": ({"a/main.tf": "", "README.md": ""}, "no configuration at its root; the first is 'a/main.tf'"),
    "two wrappers, one in the other": ({"a/b/main.tf": ""}, "no configuration at its root; the first is 'a/b/main.tf'"),
    "a name that terraform takes for a pattern": ({"m[1]/main.tf": ""}, "'m[1]', has characters"),
    "no configuration": ({"README.md": "hello"}, "there is no configuration in it"),
    "hidden configuration": ({".main.tf": ""}, "there is no configuration in it"),
    "examples alone": ({"examples/a/main.tf": ""}, "no configuration at its root; the first is 'examples/a/main.tf'"),
}

HOSTILE: Mapping[str, tuple[Members, str]] = {
    "an absolute path": ([MAIN, entry("/etc/cron.d/x", b"x")], "the path '/etc/cron.d/x' leaves"),
    "a path that climbs": ([MAIN, entry("a/../../b", b"x")], "the path 'a/../../b' leaves"),
    "a hard link": ([MAIN, entry("b", kind=tarfile.LNKTYPE, target="main.tf")], "'b' is a hard link"),
    "a character device": ([MAIN, entry("null", kind=tarfile.CHRTYPE)], "'null' is a device"),
    "a block device": ([MAIN, entry("sda", kind=tarfile.BLKTYPE)], "'sda' is a device"),
    "a pipe": ([MAIN, entry("pipe", kind=tarfile.FIFOTYPE)], "'pipe' is a device, a pipe"),
    "a link to an absolute path": ([MAIN, link("key", "/etc/passwd")], "'key' -> '/etc/passwd' leaves"),
    "a link that climbs": ([MAIN, link("a/key", "../../key")], "'a/key' -> '../../key' leaves"),
    "a file below a link": ([MAIN, link("a", "b"), entry("a/x", b"x")], "in place of, or below, the symbolic link 'a'"),
    "configuration that is a link": ([MAIN, link("b.tf", "main.tf")], "'b.tf' is a symbolic link, and terraform unpacks"),
    "a name that is not UTF-8": ([MAIN, entry("\udcff.txt", b"x")], r"the name '\\xff.txt' is not UTF-8"),
    "a directory's name that is not UTF-8": ([MAIN, entry("d\udce9/x.txt", b"x")], "is not UTF-8"),
}

BROKEN: Mapping[str, tuple[bytes, str]] = {
    "nothing": (b"", "it is empty"),
    "a zip": (b"PK\x03\x04" + bytes(100), "not gzip-compressed"),
    "no tar": (gzip.compress(b"hello " * 200), "not a tar archive"),
    "half": (packed([MAIN])[:60], "cut short"),
}


def zoo() -> dict[str, tuple[bytes, str]]:
    """All of them, and words of their refusals."""
    return {
        **{name: (archive(files), says) for name, (files, says) in WRONG_WRAPPERS.items()},
        **{name: (tar_of(members), says) for name, (members, says) in HOSTILE.items()},
        **BROKEN,
        "a bomb": (packed([MAIN, entry("zeros", bytes(RATIO_FROM * 2))]), "more than 200 times its size"),
    }
