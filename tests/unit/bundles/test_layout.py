"""A bundle is bytes that its manifest decides; one that differs anywhere is none."""

from __future__ import annotations

import hashlib
import io
import tarfile
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, strategies as st

from terrapod_core.bundles import keys
from terrapod_core.bundles.layout import BLOCK, END, Layout, front, header, name_of, padding
from terrapod_core.bundles.manifest import FileOf, IndexOf, Manifest, PackageOf, ReleaseOf, VersionOf, decoded, encoded
from terrapod_core.bundles.problems import BundleError
from terrapod_core.bundles.reading import Bundle

CONTENTS = [b"one" * 100, bytes(BLOCK), b"three"]
SOURCE = "module:registry.test/acme/net/aws"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEY = Ed25519PrivateKey.generate()


def manifest_of(contents: list[bytes]) -> Manifest:
    """A version of a module for each content."""
    files = [FileOf(size=len(each), sha256=hashlib.sha256(each).hexdigest()) for each in contents]
    releases = [
        ReleaseOf(SOURCE, f"1.{number}.0", [PackageOf("", "net.tar.gz", file.sha256, file.size, file=number)])
        for number, file in enumerate(files)
    ]
    index = IndexOf(SOURCE, [VersionOf(each.version, None, []) for each in releases], [], NOW)
    return Manifest(1, NOW, "here", "0.1.0", releases, [index], files)


def signed(document: bytes) -> bytes:
    """The signature entry."""
    return KEY.public_key().public_bytes_raw() + KEY.sign(b"terrapod-bundle-manifest-v1\0" + document)


def written(manifest: Manifest, contents: list[bytes]) -> bytes:
    """The file."""
    document = encoded(manifest)
    entries = [header(name_of(number), len(each)) + each + padding(len(each)) for number, each in enumerate(contents)]
    return front(document, signed(document)) + b"".join(entries) + END


WHOLE = written(manifest_of(CONTENTS), CONTENTS)


def looked_at(path: Path, content: bytes) -> Bundle:
    """Verified to its end."""
    path.write_bytes(content)
    with Bundle(path) as bundle:
        bundle.verify(lambda *_: None)
        return bundle


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the file lies."""
    return tmp_path_factory.mktemp("bundles") / "bundle"


def test_a_bundle_is_read_as_it_was_written_and_tar_reads_it_too(path: Path) -> None:
    bundle = looked_at(path, WHOLE)
    assert bundle.manifest == manifest_of(CONTENTS)
    assert bundle.layout.size == len(WHOLE)
    with tarfile.open(fileobj=io.BytesIO(WHOLE)) as archive:
        read = {each.name: archive.extractfile(each).read() for each in archive.getmembers()}  # type: ignore[union-attr]
    assert list(read) == ["manifest.json", "manifest.sig", "files/000000", "files/000001", "files/000002"]
    assert [read[name_of(number)] for number in range(3)] == CONTENTS


def test_a_single_byte_that_was_changed_is_refused_wherever_it_is(path: Path) -> None:
    changes = Random(7)
    taken = []
    for at in range(changes.randrange(5), len(WHOLE), 5):  # one in five, everywhere: hypothesis looks at the ends, and packages are inside
        path.write_bytes(WHOLE[:at] + bytes([WHOLE[at] ^ changes.randint(1, 255)]) + WHOLE[at + 1 :])
        try:
            with Bundle(path) as bundle:
                bundle.verify(lambda *_: None)
            taken.append(at)
        except BundleError:
            pass
    assert taken == []


@given(st.integers(0, len(WHOLE) - 1))
def test_a_bundle_that_is_cut_short_anywhere_is_refused(path: Path, length: int) -> None:
    with pytest.raises(BundleError):
        looked_at(path, WHOLE[:length])


@given(st.binary(min_size=1, max_size=2 * BLOCK))
def test_a_bundle_with_something_behind_its_end_is_refused(path: Path, more: bytes) -> None:
    with pytest.raises(BundleError, match="behind its end"):
        looked_at(path, WHOLE + more)


@given(order=st.lists(st.integers(0, 2), max_size=5).filter(lambda order: order != [0, 1, 2]))
def test_files_that_are_in_another_order_or_there_twice_or_missing_are_refused(path: Path, order: list[int]) -> None:
    document = encoded(manifest_of(CONTENTS))
    entries = [header(name_of(number), len(CONTENTS[number])) + CONTENTS[number] + padding(len(CONTENTS[number])) for number in order]
    with pytest.raises(BundleError):
        looked_at(path, front(document, signed(document)) + b"".join(entries) + END)


def test_the_signature_of_another_manifest_is_refused(path: Path) -> None:
    other = encoded(manifest_of(CONTENTS[:2]))
    document = encoded(manifest_of(CONTENTS))
    start = len(front(document, signed(document)))
    with pytest.raises(BundleError, match="signature"):
        looked_at(path, front(document, signed(other)) + WHOLE[start:])


HOSTILE = [
    {"source": "module:registry.test/../net/aws"},
    {"source": "module:REGISTRY.test/acme/net/aws"},
    {"source": "provider:registry.test/acme/net/aws"},
    {"source": "engine:bash"},
    {"source": "nothing"},
    {"version": "../../1.0.0"},
    {"version": "latest"},
    {"packages": []},
]


@pytest.mark.parametrize("changes", HOSTILE, ids=[str(each) for each in HOSTILE])
def test_a_signed_manifest_that_names_what_cannot_be_is_refused(changes: dict[str, object]) -> None:
    manifest = manifest_of(CONTENTS[:1])
    with pytest.raises(BundleError):
        decoded(encoded(msgspec.structs.replace(manifest, releases=[msgspec.structs.replace(manifest.releases[0], **changes)])))


ODD_PACKAGES = [
    {"filename": "../net.tar.gz"},
    {"filename": "a/b"},
    {"filename": "a\\b"},
    {"filename": ""},
    {"filename": "a\nb"},
    {"platform": "linux_amd64"},
    {"sha256": "A" * 64},
    {"sha256": "0" * 63},
    {"sha256": "0" * 64},
    {"size": 0},
    {"size": 7},
    {"root": "../.."},
    {"root": "/etc"},
    {"file": 1},
    {"file": -1},
    {"file": None},
]


@pytest.mark.parametrize("changes", ODD_PACKAGES, ids=[str(each) for each in ODD_PACKAGES])
def test_a_signed_manifest_with_a_package_that_cannot_be_is_refused(changes: dict[str, object]) -> None:
    manifest = manifest_of(CONTENTS[:1])
    release = manifest.releases[0]
    package = msgspec.structs.replace(release.packages[0], **changes)
    with pytest.raises(BundleError):
        decoded(encoded(msgspec.structs.replace(manifest, releases=[msgspec.structs.replace(release, packages=[package])])))


def test_a_newer_format_is_refused_with_what_to_do() -> None:
    with pytest.raises(BundleError, match="format 2, and this Terrapod reads 1: use a newer one"):
        decoded(b'{"format": 2, "what": "ever"}')


def test_a_fingerprint_is_read_as_people_copy_it() -> None:
    key = keys.fingerprint(KEY.public_key().public_bytes_raw())
    assert keys.read_fingerprint(" ".join(key[at : at + 8].upper() for at in range(0, 64, 8))) == key
    with pytest.raises(BundleError, match="64 hexadecimal digits"):
        keys.read_fingerprint("abc")


def test_the_size_of_a_file_is_known_before_it_is_written() -> None:
    assert Layout(len(encoded(manifest_of(CONTENTS))), manifest_of(CONTENTS).files).size == len(WHOLE)
