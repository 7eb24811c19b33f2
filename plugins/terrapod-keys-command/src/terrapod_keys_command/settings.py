"""What an operator may choose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from terrapod_core.plugin import PluginSettings, setting

LONGEST: Final = 30


@dataclass(frozen=True, kw_only=True)
class CommandKeysSettings(PluginSettings):
    """`[keys.command]`."""

    command: tuple[str, ...] = setting((), "Program and arguments; it prints `id:base64key` lines, newest first. No shell is involved.")
    timeout_seconds: int = setting(10, "How long it may take, at most 30.")

    def __post_init__(self) -> None:
        if self.command and not all(self.command):
            raise ValueError("command is a list of a program and its arguments, and none of them may be empty")
        if not 1 <= self.timeout_seconds <= LONGEST:
            raise ValueError(f"timeout_seconds must be from 1 to {LONGEST}: the server waits for the command at its start")
