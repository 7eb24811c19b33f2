"""What outlives the process: the key, who the listener is, and which phases it has in hand.

One file per thing, replaced as a whole and synced before anything rests on it. No token of a phase is ever written.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import msgspec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from terrapod_core.listener.answers import ListenerData
from terrapod_core.plugin import SettingsError
from terrapod_core.signatures import PrivateKey, algorithm_of, new_key

T = TypeVar("T")

SERVERS: Final = ("server.lock", "terrapod.db", "objects", "runs")
"""What tells the data directory of a server, unless a listener was there first. It may be a server's beside PostgreSQL."""

_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


class Identity(msgspec.Struct, kw_only=True, frozen=True, rename="kebab"):
    """Who the listener is, since it joined."""

    url: str
    pool_id: str
    listener_id: str
    name: str
    key_id: str
    certificate: str
    certificate_chain: str
    certificate_expires_at: datetime
    renew_at: datetime

    @classmethod
    def of(cls, listener: ListenerData, url: str, pool_id: str) -> Identity:
        """By an answer that brought a certificate."""
        shown = listener.attributes
        return cls(
            url=url,
            pool_id=pool_id,
            listener_id=listener.id,
            name=shown.name,
            key_id=shown.key_id,
            certificate=shown.certificate,
            certificate_chain=shown.certificate_chain,
            certificate_expires_at=shown.certificate_expires_at,
            renew_at=shown.renew_at,
        )


class Word(msgspec.Struct, kw_only=True, frozen=True, rename="kebab", omit_defaults=True):
    """What the server is told of a phase."""

    status: str
    message: str | None = None
    launched: bool = True


class Record(msgspec.Struct, kw_only=True, rename="kebab"):
    """A phase in hand: from before its program is started until the server says that it may be let go of."""

    run_id: str
    phase_id: str
    phase: Literal["plan", "apply"]
    epoch: int
    organization: str
    workspace: str
    handle: dict[str, Any] | None = None
    """The backend's; `None` before the launch, and when there was none."""
    word: Word | None = None
    """What is said about its end; `None` while it goes on."""
    told: bool = False
    """Whether the server has heard that."""

    @property
    def key(self) -> tuple[str, int]:
        """Which launch of which phase."""
        return self.phase_id, self.epoch


class StateDir:
    """The directory of one listener; `SettingsError` when it cannot be used."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._phases = path / "phases"
        self._identity = path / "identity.json"
        self._key = path / "key.pem"
        if any((path / each).exists() for each in SERVERS) and not self._phases.exists():
            raise SettingsError(f"{path} is the data directory of a server; give the listener one of its own with --data-dir")
        try:
            path.mkdir(parents=True, exist_ok=True)
            path.chmod(0o700)
            self._phases.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise SettingsError(f"{path} cannot be the listener's directory: {error.strerror}; choose another with --data-dir") from error

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Have the directory; `SettingsError` when another process has it."""
        descriptor = os.open(self.path / "listener.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            raise SettingsError(f"another listener runs in {self.path}; give each a directory of its own with --data-dir") from error
        try:
            yield
        finally:
            os.close(descriptor)

    # -- who it is

    def identity(self) -> Identity | None:
        """Who the listener is; `None` before it joined."""
        try:
            raw = self._identity.read_bytes()
        except FileNotFoundError:
            return None
        return _read(raw, Identity, self._identity)

    def save_identity(self, identity: Identity) -> None:
        """Keep who it is."""
        _write(self._identity, msgspec.json.encode(identity))

    def key(self) -> PrivateKey:
        """The private key; `SettingsError` when the file holds none."""
        try:
            key = load_pem_private_key(self._key.read_bytes(), None)
        except (OSError, ValueError, TypeError) as error:
            raise SettingsError(f"the listener's key {self._key} cannot be read: {error}; restore it, or remove the directory") from error
        if algorithm_of(key) is None:
            raise SettingsError(f"{self._key} is no key of a listener; restore it, or remove the directory")
        return key  # type: ignore[return-value]  # algorithm_of knows the two kinds that there are

    def new_key(self) -> PrivateKey:
        """A fresh key, kept before it is used, for a listener that has not joined."""
        key = new_key()
        _write(self._key, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return key

    def leave(self) -> None:
        """Forget who it was: the next start joins anew."""
        self._identity.unlink(missing_ok=True)
        self._key.unlink(missing_ok=True)

    # -- what it has in hand

    def records(self) -> list[Record]:
        """Every phase in hand, by name; `SettingsError` for a file that cannot be understood."""
        return [_read(path.read_bytes(), Record, path) for path in sorted(self._phases.glob("*.json"))]

    def save(self, record: Record) -> None:
        """Keep a phase as it is now. Raises `OSError`."""
        _write(self._file(record), msgspec.json.encode(record))

    def remove(self, record: Record) -> None:
        """Let go of a phase."""
        self._file(record).unlink(missing_ok=True)

    def _file(self, record: Record) -> Path:
        if not _ID.fullmatch(record.phase_id):
            raise ValueError(f"{record.phase_id!r} is no id of a phase")
        return self._phases / f"{record.phase_id}.{record.epoch}.json"


def _read(raw: bytes, kind: type[T], path: Path) -> T:
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.DecodeError as error:
        raise SettingsError(f"{path} cannot be understood: {error}; restore it, or remove it") from error


def _write(path: Path, content: bytes) -> None:
    """Replace a file: after a crash it is there whole, as it was or as it is."""
    fresh = path.with_suffix(".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
