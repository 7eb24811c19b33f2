"""Releases of providers as publishers make them: zips, `SHA256SUMS`, and signatures with keys of their own."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

import pysequoia
from pysequoia import Cert, Profile, SignatureMode, Tsk

from terrapod_core.packages.openpgp import SecretKey

LINUX = ("linux", "amd64")
PROGRAM = b"#!/bin/sh\nexit 1\n"


def zipped(files: Mapping[str, bytes], *, mode: int = 0o755, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip as it is made on Unix; a name that ends in a slash is a folder."""
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", compression) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            info.create_system = 3
            info.external_attr = (0o40755 if name.endswith("/") else 0o100000 | mode) << 16
            info.compress_type = compression
            archive.writestr(info, content)
    return raw.getvalue()


def package(provider: str, version: str, platform: tuple[str, str] = LINUX, content: bytes = PROGRAM) -> bytes:
    """The zip of one platform."""
    end = ".exe" if platform[0] == "windows" else ""
    told = f"{platform[0]} {platform[1]}\n".encode()
    return zipped({f"terraform-provider-{provider}_v{version}{end}": content + b"# " + told, "LICENSE": b"free\n"})


class Publisher:
    """Somebody with a key."""

    def __init__(self, name: str = "Publisher <publisher@example.com>") -> None:
        self.secret = Tsk.generate(name, profile=Profile.RFC4880)

    @cached_property
    def public(self) -> Cert:
        """The public key."""
        return self.secret.extract_certificate()

    @property
    def armor(self) -> str:
        """As `gpg --armor --export` writes it."""
        return str(self.public)

    @property
    def key_id(self) -> str:
        """As terraform calls it."""
        return self.public.fingerprint[-16:].upper()

    def sign(self, document: bytes, *, armor: bool = False) -> bytes:
        """A detached signature."""
        return pysequoia.sign(self.secret.signer(), document, mode=SignatureMode.DETACHED, armor=armor)

    def revoked(self) -> str:
        """The public key, revoked."""
        revocation = bytes(self.public.revoke(self.secret.certifier()))
        return str(Cert.from_bytes(bytes(self.public) + revocation))

    def expired(self, at: datetime) -> str:
        """The public key, which ended then."""
        return str(self.public.set_expiration(at, self.secret.certifier()))


def quick_key(user: str) -> SecretKey:
    """In the place of `openpgp.new_key`: one that takes no seconds to make."""
    made = Publisher(user)
    return SecretKey(bytes(made.secret), made.armor, made.key_id)


@dataclass
class Release:
    """A version of a provider with the zips of its platforms."""

    provider: str
    version: str
    zips: dict[tuple[str, str], bytes] = field(default_factory=dict)

    @classmethod
    def made(cls, provider: str, version: str, *platforms: tuple[str, str]) -> Release:
        """With a zip for each platform; for one of Linux when none is named."""
        return cls(provider, version, {each: package(provider, version, each) for each in platforms or (LINUX,)})

    def name(self, platform: tuple[str, str]) -> str:
        """Of the zip."""
        return f"terraform-provider-{self.provider}_{self.version}_{platform[0]}_{platform[1]}.zip"

    def digest(self, platform: tuple[str, str]) -> str:
        """SHA-256 of the zip."""
        return hashlib.sha256(self.zips[platform]).hexdigest()

    @property
    def sums(self) -> bytes:
        """`SHA256SUMS`."""
        return "".join(f"{self.digest(each)}  {self.name(each)}\n" for each in self.zips).encode()
