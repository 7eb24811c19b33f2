"""A directory of a forge's archive as an archive of its own."""

from __future__ import annotations

import io
import tarfile

from terrapod_core.vcs.packing.order import Notes, Order
from terrapod_core.vcs.packing.repacking import repack


def forge_archive(files: dict[str, bytes], links: dict[str, str] | None = None) -> bytes:
    """As forges pack: one directory around everything."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name in sorted({f"{path.rpartition('/')[0]}/" for path in files if "/" in path}):
            directory = tarfile.TarInfo(f"acme-repo-1/{name}")
            directory.type = tarfile.DIRTYPE
            tar.addfile(directory)
        for name, content in files.items():
            member = tarfile.TarInfo(f"acme-repo-1/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        for name, target in (links or {}).items():
            member = tarfile.TarInfo(f"acme-repo-1/{name}")
            member.type, member.linkname = tarfile.SYMTYPE, target
            tar.addfile(member)
    return packed.getvalue()


def repacked(archive: bytes, root: str) -> tuple[dict[str, bytes], Notes]:
    """The files below a directory, and what was noted."""
    result, notes = io.BytesIO(), Notes()
    repack(io.BytesIO(archive), result, Order(directories=[root], root=root), notes)
    with tarfile.open(fileobj=io.BytesIO(result.getvalue()), mode="r:gz") as tar:
        return {each.name: tar.extractfile(each).read() for each in tar if each.isfile()}, notes  # type: ignore[union-attr]


def test_a_directory_becomes_the_root_without_what_lies_beside_it() -> None:
    files = {"main.tf": b"root", "net/main.tf": b"net", "net/modules/a/main.tf": b"a", "network/main.tf": b"other", "b/net/main.tf": b"b"}
    found, notes = repacked(forge_archive(files), "net")
    assert found == {"main.tf": b"net", "modules/a/main.tf": b"a"}
    assert (notes.there, notes.configured, notes.files) == (["net"], ["net"], 2)


def test_a_directory_that_is_not_there_leaves_nothing() -> None:
    found, notes = repacked(forge_archive({"main.tf": b"root"}), "net")
    assert (found, notes.there) == ({}, [])


def test_the_repository_itself_stays_whole() -> None:
    files = {"main.tf": b"root", "net/main.tf": b"net"}
    assert repacked(forge_archive(files), "")[0] == files


def test_a_link_out_of_the_directory_is_left_out_and_told() -> None:
    found, notes = repacked(forge_archive({"net/main.tf": b"net", "secret": b"s"}, {"net/up": "../secret", "net/out": "../../x"}), "net")
    assert found == {"main.tf": b"net"}
    assert notes.links_out == ["up", "out"]
