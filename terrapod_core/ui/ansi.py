"""Terminal text as plain text, for browsers that run no script."""

from __future__ import annotations

import re
from typing import Final

SEQUENCES: Final = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[@-Z\\-_]?")
"""ECMA-48: control sequences (colours, cursor), operating system commands (titles, links), and what else begins with ESC."""

CONTROLS: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
"""Also STX and ETX, which frame a log."""


def plain(text: str) -> str:
    """What a person would read in the terminal, line by line."""
    return CONTROLS.sub("", SEQUENCES.sub("", text).replace("\r\n", "\n"))
