"""What is done on a host. This file is sent there with each call and run by the host's Python; only the standard library is at hand.

It reads one JSON object from standard input, `{"root", "keep", "calls": [[name, arguments], …]}`, and answers with one line.

A run has a directory below the root. `launch.json` says which launch it is and which process carries it out: by id, by when it
began, and by which start of the machine. A keeper, detached from the connection, waits for that process and writes down how it
ended. Plan and apply of a run work in `work`, at the same path.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

MARK = "terrapod-runner-ssh: "
UNDELIVERED = "undelivered.tfstate"
INSIST_SECONDS = 30
"""How long a program that was told to kill terraform may take to hand in the state before it is killed itself."""

KILL_ROUNDS = 50
WORDS = 300


def stat_of(pid: int) -> tuple[str, int, int, int] | None:
    """State, parent, session and beginning (in ticks) of a process; `None` when there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()
    except OSError:
        return None
    return fields[0], int(fields[1]), int(fields[3]), int(fields[19])


def boot() -> str:
    """Which start of the machine this is: process ids count anew with each."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


class Run:
    """The directory of a run, and the latest launch in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.work = path / "work"
        try:
            noted = json.loads((path / "launch.json").read_text())
        except (OSError, ValueError):
            noted = {}
        self.launch: Mapping[str, Any] = noted if isinstance(noted, dict) else {}

    @classmethod
    def of(cls, root: Path, run_id: str) -> Run:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", run_id):
            raise ValueError(f"{run_id!r} is no run id")
        return cls(root / run_id)

    def is_of(self, phase_id: str, epoch: int) -> bool:
        return (self.launch.get("phase"), self.launch.get("epoch")) == (phase_id, epoch)

    def state(self, who: str = "program") -> str | None:
        """One letter of the program, or of its keeper, while it lives."""
        pid, began = self.launch.get(who, (0, 0))
        known = stat_of(pid) if pid and self.launch["boot"] == boot() else None
        return known[0] if known is not None and known[3] == began and known[0] not in "ZX" else None

    @property
    def lives(self) -> bool:
        """Also while the keeper writes down how the program ended."""
        return self.state() is not None or self.state("keeper") is not None

    def file(self, name: str) -> Path:
        """A file of this launch and of no other one in the same directory."""
        return self.path / f"{name}.{self.launch['program'][0]}.{self.launch['program'][1]}"

    def told(self) -> str:
        """How it is or how it ended, with the last line that it wrote when it did not end well."""
        if self.lives:
            return "stopped" if self.state() in ("T", "t") else "running"
        try:
            code = int(self.file("status").read_text())
        except (OSError, ValueError):
            anew = self.launch["boot"] != boot()
            how = "ended when its machine was started anew" if anew else "ended, and nobody saw how"
        else:
            if code == 0:
                return "ended"
            how = f"ended with exit code {code}" if code > 0 else f"ended by signal {-code}"
        line = last_line(self.path / "output")
        return f"{how}: {line}" if line else how

    def interrupt(self) -> None:
        if self.state() is not None:
            os.kill(self.launch["program"][0], signal.SIGINT)

    def force(self) -> None:
        forced = self.file("forced")
        state = self.state()
        if state is None or state in "Tt" or (forced.exists() and time.time() - forced.stat().st_mtime > INSIST_SECONDS):
            self.kill()
            return
        if not forced.exists():
            forced.touch(mode=0o600)
        os.kill(self.launch["program"][0], signal.SIGQUIT)

    def kill(self) -> None:
        """Kill all that belongs to it; what it starts meanwhile is met in the next round."""
        for _ in range(KILL_ROUNDS):
            left = list(self._belonging())
            if not left and not self.lives:
                return
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)
        raise OSError(f"processes of the run in {self.path} do not end")

    def _belonging(self) -> Iterator[int]:
        """The program, what it started, its session (which outlives it under its number), and whatever works in the directory."""
        pid, began = self.launch.get("program", (0, 0))
        leader = stat_of(pid)
        ours = bool(pid) and self.launch["boot"] == boot() and (leader is None or leader[3] == began)
        known = {int(each.name): stat_of(int(each.name)) for each in Path("/proc").iterdir() if each.name.isdigit()}
        for each, stat in known.items():
            if stat is None or stat[0] in "ZX" or each == os.getpid():
                continue
            if (ours and (pid in (each, stat[2]) or pid in ancestors(each, known))) or works_in(each, self.work):
                yield each

    def clear(self) -> None:
        """Remove it, but for a state that could not be handed in."""
        self.kill()
        kept = (self.work / UNDELIVERED).is_file()
        for path in list(self.path.iterdir()) if self.path.is_dir() else ():
            if path != self.work or not kept:
                remove(path)
        if kept:
            for path in self.work.iterdir():
                if path.name != UNDELIVERED:
                    remove(path)
        elif self.path.is_dir():
            self.path.rmdir()


def ancestors(pid: int, known: Mapping[int, tuple[str, int, int, int] | None]) -> Iterator[int]:
    """The parents of a process, the nearest first."""
    seen: set[int] = set()
    while (stat := known.get(pid)) is not None and stat[1] not in seen:
        pid = stat[1]
        seen.add(pid)
        yield pid


def works_in(pid: int, path: Path) -> bool:
    try:
        return Path(f"/proc/{pid}/cwd").readlink().is_relative_to(path)
    except OSError:
        return False


def remove(path: Path) -> None:
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    for directory, _, _ in os.walk(path):  # caches of modules come with directories nobody may write to
        Path(directory).chmod(0o700)
    shutil.rmtree(path)


def last_line(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 4096))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    return next((line.strip()[:WORDS] for line in reversed(lines) if line.strip()), "")


def write(path: Path, text: str) -> None:
    """Whole or not at all."""
    part = path.with_name(f"{path.name}.part")
    part.write_text(text)
    part.replace(path)


# -- the calls


def runs(root: Path) -> Iterator[Run]:
    for path in sorted(root.iterdir()):
        run = Run(path) if path.is_dir() else None
        if run is not None and run.launch:
            yield run


def look(root: Path, keep: int) -> list[Mapping[str, Any]]:
    """Every launch of which something is left; what is over for longer than `keep` seconds is removed."""
    found: list[Mapping[str, Any]] = []
    for run in runs(root):
        lives, told, launch = run.lives, run.told(), run.launch
        if not lives and time.time() - (run.path / "launch.json").stat().st_mtime > keep:
            run.clear()
            continue
        found.append({"run": run.path.name, "phase": launch["phase"], "epoch": launch["epoch"], "running": lives, "detail": told})
    return found


def clear(root: Path, run: str) -> int:
    """End and remove what is left of a run; how many programs of others live here."""
    Run.of(root, run).clear()
    return sum(each.lives for each in runs(root))


def stop(root: Path, run: str, phase: str, epoch: int, force: bool) -> None:
    known = Run.of(root, run)
    if not known.is_of(phase, epoch):
        return
    if force:
        known.force()
    else:
        known.interrupt()


def forget(root: Path, run: str, phase: str, epoch: int) -> None:
    known = Run.of(root, run)
    if known.is_of(phase, epoch):
        known.clear()


def start(root: Path, run: str, phase: str, epoch: int, places: int, program: list[str], order: dict[str, Any]) -> bool:
    """Start the program; `False` when every place is taken."""
    if sum(each.lives for each in runs(root)) >= places:
        return False
    place = Run.of(root, run)
    place.clear()
    place.work.mkdir(parents=True, exist_ok=True)
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.close(reader)
        keep_one(
            place,
            {"phase": phase, "epoch": epoch},
            program,
            json.dumps({**order, "work-dir": str(place.work), "engines-cache": str(root / ".engines")}),
            writer,
        )
    os.close(writer)
    with os.fdopen(reader) as answer:
        problem = answer.read()
    if problem:
        place.clear()
        raise OSError(problem)
    return True


def keep_one(place: Run, launch: dict[str, Any], program: list[str], order: str, writer: int) -> None:
    """The keeper: start the program, tell `writer` what went wrong, if anything, and stay until the program has ended."""
    try:
        detach(writer)
        child = begin(place, launch, program, order)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is told to whoever asked
        os.write(writer, (str(error) or type(error).__name__).encode())
        os._exit(1)
    os.close(writer)
    code = child.wait()
    with contextlib.suppress(OSError):  # somebody may have removed the directory by hand
        write(place.file("status"), str(code))
    os._exit(0)


def detach(writer: int) -> None:
    """Leave the connection behind: its session, its descriptors (sshd waits for them), and the lock."""
    os.setsid()
    os.chdir("/")
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)
    os.closerange(3, writer)
    os.closerange(writer + 1, os.sysconf("SC_OPEN_MAX"))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def begin(place: Run, launch: dict[str, Any], program: list[str], order: str) -> subprocess.Popen[bytes]:
    """Start the program, note who it is, and only then tell it what to do."""
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8", "HOME": str(place.work)}
    with (place.path / "output").open("wb") as output:
        child = subprocess.Popen(
            program, stdin=subprocess.PIPE, stdout=output, stderr=output, cwd=place.work, env=environment, start_new_session=True
        )
    try:
        stats = {who: (pid, (stat_of(pid) or ("", 0, 0, 0))[3]) for who, pid in (("program", child.pid), ("keeper", os.getpid()))}
        place.launch = {**launch, **stats, "boot": boot()}
        write(place.path / "launch.json", json.dumps(place.launch))
        assert child.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it ended without reading, and `look` says how
            child.stdin.write(order.encode())
            child.stdin.close()
    except OSError:
        child.kill()
        child.wait()
        raise
    return child


CALLS: Mapping[str, Callable[..., Any]] = {"clear": clear, "stop": stop, "forget": forget, "start": start, "look": look}


def main() -> None:
    ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE: nobody of the same user reads the order out of this process
    os.umask(0o077)
    asked = json.loads(sys.stdin.buffer.read())
    root = Path(asked["root"]).expanduser()
    root.mkdir(parents=True, exist_ok=True)
    root = root.resolve()
    answers = []
    with (root / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for name, arguments in asked["calls"]:
            try:
                answers.append({"answer": CALLS[name](root, **arguments)})
            except (OSError, ValueError) as error:
                answers.append({"problem": str(error)})
    print(f"\n{MARK}{json.dumps(answers)}", flush=True)


if __name__ == "__main__":
    main()
