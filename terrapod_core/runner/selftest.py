"""`python -m terrapod_core.runner.selftest`: proves that a sandbox keeps what runs in it apart, before anybody relies on it.

Standard input holds one JSON object: `work-dir`, in which a directory is made and removed again; `sandbox`, as in an order;
`hidden`, files that nothing inside may read. Standard output gets one: `problem`, a sentence, or `null` when all was as it must be.
Beside the sandbox runs a process that stands for the server: same user, a secret in its environment and in its memory.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from .__main__ import harden
from .failures import PhaseFailed
from .interruption import Interruption
from .process import Start, capture
from .sandbox import INSIDE, TEMPORARY, Sandbox, Shown

PROBE = """
cd /
for file in "$@"; do
    head -c 1 "$file" >/dev/null && echo "bad: $file can be read"
    true >>"$file" && echo "bad: $file can be written"
done
cat /proc/$VICTIM/environ /proc/[0-9]*/environ
head -c 1 /proc/$VICTIM/mem
kill -9 $VICTIM
echo
(true >/probe) && rm /probe && echo 'bad: the root directory can be written to'
(true >/usr/probe) && rm /usr/probe && echo 'bad: /usr can be written to'
(true >"$WORK/probe") && [ -e "$WORK/probe" ] || echo 'bad: the work directory cannot be written to'
(true >"$TMPDIR/probe") && [ -e "$TMPDIR/probe" ] || echo 'bad: the temporary directory cannot be written to'
while read -r name value; do
    case "$name $value" in
        CapEff:*[1-9a-f]* | CapPrm:*[1-9a-f]* | CapBnd:*[1-9a-f]*) echo "bad: there are capabilities: $value" ;;
        NoNewPrivs:*0) echo 'bad: new privileges can be had' ;;
    esac
done </proc/self/status
echo done
"""
"""A shell tries what a hostile program would. What it says on standard error are refusals, as they should be."""

VICTIM = (sys.executable, "-I", "-S", "-c", "import sys; print('ready', flush=True); sys.stdin.read()")


def problem_of(sandbox: Sandbox, work_dir: Path, hidden: list[Path]) -> str | None:
    """What is wrong with this sandbox, as the end of a sentence; `None` when it keeps what it promises."""
    canary = secrets.token_hex(16)
    victim = subprocess.Popen(VICTIM, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={"CANARY": canary}, start_new_session=True)
    try:
        assert victim.stdout is not None
        victim.stdout.readline()
        said, refused = _probe(sandbox, work_dir, hidden, victim.pid)
        if victim.poll() is not None:
            return "a process outside can be killed"
    except (PhaseFailed, OSError) as error:
        return str(error)
    finally:
        victim.kill()
        victim.communicate()
    lines = said.splitlines()
    if "done" not in lines:
        return f"no command can be started in it: {refused.splitlines()[-1] if refused else 'bwrap says nothing'}"
    if canary in said:
        return "the environment of a process outside can be read"
    return next((line.removeprefix("bad: ") for line in lines if line.startswith("bad: ")), None) or _owner(sandbox, work_dir)


def _probe(sandbox: Sandbox, work_dir: Path, hidden: list[Path], victim: int) -> tuple[str, str]:
    """What the probe wrote to standard output, and to standard error."""
    inside, secret = work_dir / "inside", work_dir / "secret"
    inside.mkdir(mode=0o700)
    secret.touch()
    sandbox.give(inside)
    env = {"PATH": "/usr/bin:/bin", "VICTIM": str(victim), "WORK": str(INSIDE), "TMPDIR": str(TEMPORARY)}
    argv = ("/bin/sh", "-c", PROBE, "probe", *map(str, (secret, *hidden)))
    start: Start = sandbox.start(argv, cwd=INSIDE, env=env, shown=[Shown(inside, INSIDE, writable=True)], network=True)
    _, refused = capture(start, interruption=Interruption(), into=work_dir / "said")
    return (work_dir / "said").read_text("utf-8", "replace"), refused


def _owner(sandbox: Sandbox, work_dir: Path) -> str | None:
    made = (work_dir / "inside" / "probe").stat()
    if sandbox.user is not None and made.st_uid != sandbox.user:
        return f"what runs in it is user {made.st_uid}, not {sandbox.user}"
    return None


def main() -> int:
    harden()
    members: dict[str, Any] = json.loads(sys.stdin.buffer.read())
    sandbox = Sandbox.parse(members["sandbox"])
    with tempfile.TemporaryDirectory(prefix="probe-", dir=members["work-dir"]) as name:
        try:
            sandbox.prepare()
        except OSError as error:
            problem: str | None = f"this process may not mount: {error}"
        else:
            problem = problem_of(sandbox, Path(name), [Path(path) for path in members["hidden"]])
            sandbox.close()
    json.dump({"problem": problem}, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
