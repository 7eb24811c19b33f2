"""Keeps the engine apart from the rest of the machine with bubblewrap (bwrap(1)).

Each command gets user, process, IPC and mount namespaces of its own and sees the system's programs and libraries, its own
directories, and nothing else: no data directory, no other run, no other process. bwrap itself starts with an empty
environment, because its own is readable inside as `/proc/1/environ`; the engine's comes to it through memory.

The network is the machine's, unless a command needs none. Where this program is root, the engine is another user as well.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import resource
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .process import Start

INSIDE = Path("/workspace")
"""Where the directories of a phase are seen: the same for plan and apply, because `path.cwd` is part of a plan."""
TEMPORARY = Path("/tmp")  # noqa: S108  # that of the sandbox
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  # likewise

PROGRAMS = Path("/usr")
LINKED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
"""Directories of `/` that are links into `/usr` on most systems, and directories on others."""
CONFIGURED = (
    "alternatives",
    "ca-certificates",
    "crypto-policies",
    "gai.conf",
    "host.conf",
    "hosts",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "mime.types",
    "nsswitch.conf",
    "pki/ca-trust",
    "pki/tls/cert.pem",
    "pki/tls/certs",
    "pki/tls/openssl.cnf",
    "protocols",
    "resolv.conf",
    "services",
    "ssl/cert.pem",
    "ssl/certs",
    "ssl/openssl.cnf",
)
"""What programs read in `/etc`, and nobody minds. Not the private keys that lie beside the certificates."""

MOST_PROCESSES = 8192
MOST_FILES = 65_536

_CLONE_NEWNS, _MS_BIND, _MS_REC, _MS_PRIVATE, _MNT_DETACH = 0x20000, 4096, 16384, 1 << 18, 2
"""linux/sched.h, linux/mount.h"""


class _Stage:
    """Mounts of this program's own, on which another user can reach what lies in directories closed to them.

    They end with the program, and nobody else sees them: it has left the machine's mount namespace.
    """

    def __init__(self) -> None:
        self._calls = ctypes.CDLL(None, use_errno=True)
        self._check(self._calls.unshare(_CLONE_NEWNS), "unshare")
        self._mount(None, "/", None, _MS_REC | _MS_PRIVATE)
        self._place = Path(tempfile.mkdtemp(prefix="tp-", dir="/tmp"))
        self._mount("tmpfs", str(self._place), "tmpfs", 0)
        self._place.chmod(0o711)
        self._numbers = itertools.count(1)
        self._reached: dict[Path, Path] = {}

    def reach(self, path: Path) -> Path:
        """Another path of the same file or directory, below which the file's own permissions decide."""
        if path not in self._reached:
            place = self._place / str(next(self._numbers))
            place.mkdir() if path.is_dir() else place.touch()
            self._mount(str(path), str(place), None, _MS_BIND | _MS_REC)
            self._reached[path] = place
        return self._reached[path]

    def close(self) -> None:
        """Let go of everything. Nothing here is ever removed file by file: what is mounted is somebody's."""
        self._calls.umount2(os.fsencode(self._place), _MNT_DETACH)
        self._place.rmdir()

    def _mount(self, source: str | None, target: str, kind: str | None, flags: int) -> None:
        words = [None if word is None else word.encode() for word in (source, target, kind)]
        self._check(self._calls.mount(*words, ctypes.c_ulong(flags), None), f"mount {target}")

    def _check(self, result: int, what: str) -> None:
        if result != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"{what}: {os.strerror(number)}")


@dataclass(frozen=True)
class Shown:
    """A file or directory that a command sees, and where; read-only unless it says so."""

    path: Path
    inside: Path
    writable: bool = False


@dataclass
class Sandbox:
    """How the commands of this phase are kept apart, as the backend's order says it (member `sandbox`)."""

    program: Path
    """bwrap."""
    user: int | None = None
    """Of the engine, where this program is root."""
    readable: tuple[Path, ...] = ()
    """What the operator shows beside the system, at the same path."""
    forbids_nesting: bool = False
    """Whether bwrap knows `--disable-userns`: no namespaces inside, which are the kernel's weak side."""
    _stage: _Stage | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, members: Mapping[str, Any]) -> Sandbox:
        """Raises `ValueError`, `KeyError` or `TypeError` for members that are none."""
        user = members.get("user")
        if user is not None and not (type(user) is int and user > 0):
            raise ValueError("`user` must be a user id other than root's")
        readable = tuple(Path(path) for path in members.get("readable") or ())
        if not all(path.is_absolute() for path in (Path(members["program"]), *readable)):
            raise ValueError("its paths must be absolute")
        return cls(Path(members["program"]), user, readable, bool(members.get("disable-userns")))

    def prepare(self) -> None:
        """Once, before any thread is started, of which each has a mount namespace. Raises `OSError`."""
        for limit, most in ((resource.RLIMIT_NPROC, MOST_PROCESSES), (resource.RLIMIT_NOFILE, MOST_FILES)):
            _, highest = resource.getrlimit(limit)
            bound = most if highest == resource.RLIM_INFINITY else min(most, highest)
            resource.setrlimit(limit, (bound, bound))
        if self.user is not None:
            self._stage = _Stage()

    def close(self) -> None:
        """The last command has ended."""
        if self._stage is not None:
            self._stage.close()

    def give(self, *paths: Path) -> None:
        """Make the engine's user the owner of these, and of all in them."""
        if self.user is None:
            return
        for path in paths:
            os.chown(path, self.user, self.user, follow_symlinks=False)
            for directory, directories, files in os.walk(path):
                for name in (*directories, *files):
                    os.chown(Path(directory, name), self.user, self.user, follow_symlinks=False)

    def sees(self, path: Path) -> bool:
        """Whether every command sees this path as it is."""
        return any(path.is_relative_to(root) for root in (PROGRAMS, *self.readable))

    def start(self, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], shown: Sequence[Shown], network: bool = True) -> Start:
        """What starts a command in `cwd`, a path inside, with `shown` beside the system. `/tmp` is memory unless it is shown."""
        options = self._namespaces(network=network) + self._system() + ["--tmpfs", str(TEMPORARY)]
        for each in (*shown, *(Shown(path, path) for path in self.readable)):
            options += ["--bind" if each.writable else "--ro-bind", self._reach(each.path), str(each.inside)]
        # Last, so that bwrap could still make the directories to mount on.
        options += ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", str(cwd)]
        for name, value in env.items():
            options += ["--setenv", name, value]
        wrapping = b"".join(os.fsencode(option) + b"\0" for option in options)
        return Start((str(self.program), *argv), cwd=Path("/"), env={}, wrapping=wrapping, user=self.user)

    def _namespaces(self, *, network: bool) -> list[str]:
        options = ["--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
        options += [] if network else ["--unshare-net"]
        options += ["--disable-userns"] if self.forbids_nesting else []
        return [*options, "--hostname", "terrapod-run", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]

    def _system(self) -> list[str]:
        options = ["--ro-bind", str(PROGRAMS), str(PROGRAMS)]
        for path in (Path("/", name) for name in LINKED):
            if path.is_symlink():
                options += ["--symlink", str(path.readlink()), str(path)]
            elif path.is_dir():
                options += ["--ro-bind", str(path), str(path)]
        for path in (Path("/etc", name) for name in CONFIGURED):
            if path.exists():
                options += ["--ro-bind", str(path), str(path)]
        return [*options, "--proc", "/proc", "--dev", "/dev"]

    def _reach(self, path: Path) -> str:
        return str(path if self._stage is None else self._stage.reach(path))
