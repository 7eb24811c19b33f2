"""Engines of the server's binary cache: fetched once, kept between phases, and looked at again before each use.

They lie in a directory of the runner's own, `<SHA-256 of the zip>/<tool>`, beside a note of the program's own SHA-256. A directory
appears there with its program in it or not at all, so phases that fetch the same do not meet.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .client import Server
from .failures import NotFetched
from .interruption import Interruption
from .notes import note

PATIENCE = 15 * 60.0
"""Seconds in which the server must have fetched an engine itself."""
ZIP_BYTES = 1 << 30
PROGRAM_BYTES = 2 << 30
UNUSED_SECONDS = 30 * 24 * 3600.0
"""An engine that no phase used for so long goes; none goes on for nearly as long."""
DIGEST = "sha256"


@dataclass
class CachedEngines:
    """What one phase asks of the cache; `reasons` says why it had nothing."""

    server: Server
    directory: Path
    platform: str
    interruption: Interruption
    reasons: list[str] = field(default_factory=list)

    def find(self, tool: str, version: str) -> tuple[Path, str] | None:
        """A program that is verified, and its exact version; `None` when there is none, whatever the reason."""
        offered = self._offered(tool, version)
        if offered is None:
            return None
        try:
            return self._kept(offered) or self._fetched(offered), str(offered["version"])
        except (NotFetched, OSError, KeyError, TypeError, ValueError) as error:
            self.reasons.append(f"{tool} {offered.get('version')} could not be fetched: {error}")
            return None

    def _offered(self, tool: str, version: str) -> Mapping[str, Any] | None:
        """What the server has; it is asked again while it fetches that itself."""
        os_name, _, arch = self.platform.partition("_")
        end, noted = time.monotonic() + PATIENCE, False
        while True:
            self.interruption.check()
            answer = self.server.get("/engine", tool=tool, version=version, os=os_name, arch=arch)
            if not answer.get("waiting"):
                break
            if time.monotonic() > end:
                self.reasons.append(f"the server did not have {tool} for `{version}` within {PATIENCE / 60:.0f} minutes")
                return None
            if not noted:
                noted = True
                note(f"waiting for the server to fetch {tool} for `{version}`")
        if answer.get("engine") is None:
            self.reasons.append(str(answer.get("reason") or "it gives no reason"))
        return answer.get("engine")

    def _kept(self, offered: Mapping[str, Any]) -> Path | None:
        """The program of an earlier phase, as it was then; one that is not any more is removed."""
        place = self._place(offered)
        program = place / str(offered["tool"])
        if not place.is_dir():
            return None
        with contextlib.suppress(FileNotFoundError):
            if (place / DIGEST).read_text() == _digest(program):
                os.utime(place)
                return program
        note(f"{program} is not what it was, and is fetched again")
        shutil.rmtree(place, ignore_errors=True)
        return None

    def _fetched(self, offered: Mapping[str, Any]) -> Path:
        """The program from the server. Raises `NotFetched`, `OSError`, `ValueError`."""
        place, tool = self._place(offered), str(offered["tool"])
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        room = Path(tempfile.mkdtemp(prefix=".new-", dir=self.directory))
        try:
            archive = room / "archive.zip"
            self.server.fetch(str(offered["link"]), archive, limit=ZIP_BYTES, check=self.interruption.check)
            if (found := _digest(archive)) != offered["sha256"]:
                raise NotFetched(f"the SHA-256 of what came is {found}, and must be {offered['sha256']}")
            made = room / "made"
            made.mkdir(mode=0o755)
            _unzip(archive, tool, made / tool)
            (made / DIGEST).write_text(_digest(made / tool))
            _appear(made, place)
        finally:
            shutil.rmtree(room, ignore_errors=True)
        self._tidy()
        return place / tool

    def _place(self, offered: Mapping[str, Any]) -> Path:
        digest = str(offered["sha256"])
        if len(digest) != 64 or not set(digest) <= set("0123456789abcdef") or offered["tool"] not in ("terraform", "tofu"):
            raise ValueError("the server's answer is none")
        return self.directory / digest

    def _tidy(self) -> None:
        """Remove what was not used for long, and what a phase that was killed left half made."""
        for entry in self.directory.iterdir():
            if time.time() - entry.stat().st_mtime > UNUSED_SECONDS:
                shutil.rmtree(entry, ignore_errors=True)


def platform() -> str:
    """What this machine runs, as Go calls it: `linux_amd64`."""
    uname = os.uname()
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(uname.machine, uname.machine)
    return f"{uname.sysname.lower()}_{machine}"


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _unzip(archive: Path, tool: str, to: Path) -> None:
    """The one program of a zip that was verified. Raises `ValueError` when it holds none."""
    import zipfile  # only here: most phases find what an earlier one unpacked

    try:
        with zipfile.ZipFile(archive) as packed, packed.open(tool) as program, to.open("xb") as file:
            if packed.getinfo(tool).file_size > PROGRAM_BYTES:
                raise ValueError(f"{tool} in the zip is larger than {PROGRAM_BYTES} bytes")
            shutil.copyfileobj(program, file, 1 << 20)
    except (KeyError, zipfile.BadZipFile, RuntimeError) as error:
        raise ValueError(f"the zip holds no {tool}: {error}") from error
    to.chmod(stat.S_IRWXU | stat.S_IRGRP | stat.S_IXGRP | stat.S_IROTH | stat.S_IXOTH)


def _appear(made: Path, place: Path) -> None:
    """Let it be there, whole; another phase may have been quicker with the same."""
    try:
        made.rename(place)
    except OSError:
        if not place.is_dir():
            raise
