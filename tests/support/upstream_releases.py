"""What the local upstream has: releases of engines and providers with their sums and signatures, and modules. `upstream.py` serves it."""

from __future__ import annotations

import base64
import functools
import gzip
import hashlib
import io
import json
import os
import subprocess
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from terrapod_core.packages import openpgp
from tests.support import real_provider, releases

LINUX_ARM = ("linux", "arm64")
DARWIN_ARM = ("darwin", "arm64")
WINDOWS = ("windows", "amd64")
PLATFORMS = [real_provider.HERE, *[each for each in (releases.LINUX, LINUX_ARM, DARWIN_ARM, WINDOWS) if each != real_provider.HERE]][:4]
"""This machine's, and three others."""

Blob = bytes | Path
"""Of a file: its bytes, or where they lie."""


@functools.cache
def publisher(name: str = "Publisher <publisher@example.com>") -> openpgp.SecretKey:
    """Somebody with an RSA key, which takes seconds to make; the same one each time within a process."""
    return openpgp.new_key(name)


def other_publisher() -> openpgp.SecretKey:
    """Whose key nobody pinned."""
    return publisher("Somebody Else <else@example.com>")


@functools.lru_cache(maxsize=256)
def _signed(document: bytes, secret: bytes) -> bytes:
    """The same signature each time: a new one would have a new `ETag`."""
    return openpgp.sign(document, secret)


@dataclass
class Signed:
    """One version of an engine or a provider. Its fields are changed while it is served."""

    stem: str
    """`terraform`, `tofu`, or `terraform-provider-NAME`: what the names of its files begin with."""
    version: str
    files: dict[tuple[str, str], Blob]
    """The zip of each platform; take one out, and the platform is missing."""
    signer: openpgp.SecretKey
    protocols: tuple[str, ...] = ("6.0",)
    bad_signature: bool = False
    """The signature is the publisher's, and of other bytes."""
    shown_keys: tuple[str, ...] | None = None
    """Public keys that the registry names instead of the signer's; none with `()`."""
    more_sums: str = ""
    """Further lines of `SHA256SUMS`."""
    _digests: dict[tuple[str, str], tuple[Blob, str]] = field(default_factory=dict)

    def name(self, platform: tuple[str, str]) -> str:
        """Of the zip."""
        return f"{self.stem}_{self.version}_{platform[0]}_{platform[1]}.zip"

    @property
    def sums_name(self) -> str:
        return f"{self.stem}_{self.version}_SHA256SUMS"

    def digest(self, platform: tuple[str, str]) -> str:
        """SHA-256 of the zip, in hexadecimal."""
        blob = self.files[platform]
        known = self._digests.get(platform)
        if known is None or known[0] is not blob:
            known = blob, digest_of(blob)
            self._digests[platform] = known
        return known[1]

    @property
    def sums(self) -> bytes:
        """`SHA256SUMS`."""
        return ("".join(f"{self.digest(each)}  {self.name(each)}\n" for each in self.files) + self.more_sums).encode()

    @property
    def signature(self) -> bytes:
        """Binary and detached, over the sums."""
        return _signed(b"other bytes\n" if self.bad_signature else self.sums, self.signer.secret)

    @property
    def keys(self) -> tuple[str, ...]:
        """What a registry says signs it."""
        return (self.signer.armor,) if self.shown_keys is None else self.shown_keys


@dataclass
class Releases:
    """All versions of an engine or a provider. `signer` signs those that are added from now on."""

    stem: str
    signer: openpgp.SecretKey = field(default_factory=publisher)
    versions: dict[str, Signed] = field(default_factory=dict)

    def add(self, version: str, files: Mapping[tuple[str, str], Blob] | None = None, *, size: int | None = None) -> Signed:
        """A further version, for all `PLATFORMS` unless its files are given; `size` makes their zips at least so many bytes large."""
        made: dict[tuple[str, str], Blob] = dict(files or {})
        if files is None:
            made = {each: stub(self.stem, version, each, size or 0) for each in PLATFORMS}
        self.versions[version] = Signed(self.stem, version, made, self.signer)
        return self.versions[version]

    def withdraw(self, version: str) -> Signed:
        """Serve it no longer."""
        return self.versions.pop(version)


@dataclass
class Module:
    """A module in a registry. Each version is a folder's files, and how its download answers."""

    versions: dict[str, dict[str, bytes]] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    """`tar.gz` or `zip`, by version."""
    gets: dict[str, str] = field(default_factory=dict)
    """What `X-Terraform-Get` says, by version; where none stands, it is a path of this server."""

    def add(self, version: str, files: Mapping[str, bytes] | None = None, *, kind: str = "tar.gz", get: str | None = None) -> None:
        """A further version."""
        self.versions[version] = dict(files) if files is not None else module_files(version)
        self.kinds[version] = kind
        if get is not None:
            self.gets[version] = get

    def archive(self, version: str) -> bytes:
        """Of one version, the module at its top."""
        return packed(self.versions[version], self.kinds[version])


def stub(stem: str, version: str, platform: tuple[str, str], size: int = 0) -> bytes:
    """A zip of the right shape whose program only says what it is."""
    end = ".exe" if platform[0] == "windows" else ""
    program = f"{stem}_v{version}{end}" if stem.startswith("terraform-provider-") else stem + end
    said = "OpenTofu" if stem == "tofu" else stem.capitalize()
    told = json.dumps({"terraform_version": version, "platform": "_".join(platform)})
    script = f"""#!/bin/sh
case "$*" in
  *-json*) echo '{told}' ;;
  *) echo '{said} v{version}' ;;
esac
"""
    files = {program: script.encode(), "LICENSE.txt": b"free\n"}
    if size:
        files["padding"] = os.urandom(size)
    return releases.zipped(files, compression=zipfile.ZIP_STORED if size else zipfile.ZIP_DEFLATED)


def engine_zip(program: Path, folder: Path) -> tuple[str, Path]:
    """Version of a real terraform, and a zip of it in this folder. It is stored, not compressed: that takes no time and is large."""
    said = subprocess.run([program, "version", "-json"], capture_output=True, check=True, env={"CHECKPOINT_DISABLE": "1", **_home(folder)})
    version = json.loads(said.stdout)["terraform_version"]
    target = folder / f"terraform_{version}.zip"
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        archive.write(program, "terraform")
        archive.writestr("LICENSE.txt", "See the program.\n")
    return version, target


def _home(folder: Path) -> dict[str, str]:
    return {"HOME": str(folder), "PATH": os.environ.get("PATH", os.defpath)}


def real_release(name: str, version: str) -> dict[tuple[str, str], Blob]:
    """Zips of the provider that terraform can start on this machine, and of the right shape for three others."""
    stem = f"terraform-provider-{name}"
    here = real_provider.release(name, version).zips
    return {each: here.get(each) or stub(stem, version, each) for each in PLATFORMS}


def module_files(version: str) -> dict[str, bytes]:
    """A module that needs no provider."""
    return {
        "main.tf": f'output "version" {{\n  value = "{version}"\n}}\n'.encode(),
        "README.md": b"# A module\n",
        "modules/small/main.tf": b'output "small" {\n  value = "yes"\n}\n',
    }


def packed(files: Mapping[str, bytes], kind: str, top: str = "") -> bytes:
    """The same bytes each time; `top` is a folder that everything is put into, as forges do."""
    within = {f"{top}/{name}" if top else name: content for name, content in sorted(files.items())}
    if kind == "zip":
        raw = io.BytesIO()
        with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in within.items():
                info = zipfile.ZipInfo(name)
                info.create_system, info.external_attr = 3, 0o100644 << 16
                archive.writestr(info, content)
        return raw.getvalue()
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, content in within.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            tar.addfile(entry, io.BytesIO(content))
    return gzip.compress(raw.getvalue(), mtime=0)


def digest_of(blob: Blob) -> str:
    """SHA-256 in hexadecimal."""
    if isinstance(blob, bytes):
        return hashlib.sha256(blob).hexdigest()
    with blob.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@functools.lru_cache(maxsize=64)
def h1_of(blob: Blob) -> str:
    """What lock files call a zip: `Hash1` of Go's dirhash over its files."""
    with zipfile.ZipFile(io.BytesIO(blob) if isinstance(blob, bytes) else blob) as archive:
        names = sorted(each for each in archive.namelist() if not each.endswith("/"))
        lines = "".join(f"{hashlib.sha256(archive.read(name)).hexdigest()}  {name}\n" for name in names)
    return "h1:" + base64.b64encode(hashlib.sha256(lines.encode()).digest()).decode()
