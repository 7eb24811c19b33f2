from __future__ import annotations

import os
import resource
import sys
import time
from pathlib import Path

import pytest

from terrapod_core.plugin import KeyringError
from terrapod_core.testing.keys import key_text
from terrapod_keys_command.provider import MOST_BYTES, CommandKeys
from terrapod_keys_command.settings import CommandKeysSettings

KEY = key_text("k1").strip()
SECRET = KEY.partition(":")[2]


def python(source: str, *arguments: str, seconds: float = 20) -> CommandKeys:
    return CommandKeys([sys.executable, "-c", source, *arguments], seconds)


def refusal(provider: CommandKeys) -> str:
    with pytest.raises(KeyringError) as refused:
        provider.keys()
    assert SECRET not in str(refused.value)
    return str(refused.value)


def test_arguments_reach_the_program_as_they_are_and_no_shell_sees_them(tmp_path: Path) -> None:
    trap = f"$(touch {tmp_path / 'trap'}); `touch {tmp_path / 'trap'}` | *"
    assert python(f"import sys; assert sys.argv[1] == {trap!r}; print({KEY!r})", trap).keys().ids == ("k1",)
    assert not (tmp_path / "trap").exists()


def test_a_failing_command_says_what_it_said_on_standard_error() -> None:
    said = refusal(python("import sys; sys.exit('permission denied\\n on secret/terrapod')"))
    assert "exit code 1: permission denied on secret/terrapod." in said


def test_what_it_printed_is_never_shown_even_when_it_stands_on_standard_error_too() -> None:
    said = refusal(python(f"import sys; print({KEY!r}); print('+ echo', {KEY!r}, file=sys.stderr); sys.exit(3)"))
    assert "exit code 3" in said
    assert "********" in said


def test_standard_error_cannot_write_into_the_terminal() -> None:
    assert "\x1b" not in refusal(python("import sys; sys.exit('\\x1b[2Jgone')"))


def test_a_command_that_takes_too_long_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    started = tmp_path / "child"
    source = f"""
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open({str(started)!r} + ".new", "w").write(str(child.pid))
import os; os.rename({str(started)!r} + ".new", {str(started)!r})
time.sleep(600)
"""
    said = refusal(python(source, seconds=2))
    assert "did not end within 2 s" in said
    child = int(started.read_text())
    for _ in range(500):
        if not _alive(child):
            return
        time.sleep(0.01)
    raise AssertionError("the command's child lives on")


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_program_that_is_not_there_is_named() -> None:
    assert "The command no-such-program-here, which gives the keys, cannot be run: No such file" in refusal(
        CommandKeys(["no-such-program-here"], 5)
    )


def test_none_is_run_when_none_is_set() -> None:
    assert "TERRAPOD_KEYS__COMMAND__COMMAND" in refusal(CommandKeys([], 5))


@pytest.mark.parametrize(("printed", "said"), [(f"'x' * {MOST_BYTES + 1}", "more than"), ("'\\udcff'", "no text")])
def test_what_cannot_be_keys_is_refused(printed: str, said: str) -> None:
    source = f"import sys; sys.stdout.reconfigure(encoding='utf-8', errors='surrogateescape'); print({printed})"
    assert said in refusal(python(source))


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_program_gone_wild_does_not_fill_the_servers_memory(stream: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    said = refusal(python(f"import sys\nwhile True: sys.{stream}.write('x' * 65536)", seconds=2))
    assert ("printed more than" if stream == "stdout" else "did not end within 2 s") in said
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024, "KiB"


def test_what_a_program_leaves_unfinished_is_not_taken_for_its_keys() -> None:
    source = f"import subprocess, sys; print({KEY!r}, flush=True); subprocess.Popen(['sleep', '600'])"
    assert "did not end within 1 s" in refusal(python(source, seconds=1))


def test_the_servers_own_settings_do_not_reach_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERRAPOD_DATABASE_URL", "postgresql+asyncpg://terrapod:hunter2@db/terrapod")
    monkeypatch.setenv("VAULT_ADDR", "https://vault.example")
    source = f"import os; assert not [n for n in os.environ if n.startswith('TERRAPOD_')]; assert os.environ['VAULT_ADDR']; print({KEY!r})"
    assert python(source).keys().ids == ("k1",)
    assert os.environ["TERRAPOD_DATABASE_URL"]


@pytest.mark.parametrize("given", [{"command": ("vault", "")}, {"timeout_seconds": 0}, {"timeout_seconds": 31}])
def test_settings_that_cannot_work_are_refused(given: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="command is a list|timeout_seconds"):
        CommandKeysSettings(**given)  # type: ignore[arg-type]
