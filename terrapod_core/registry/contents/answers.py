"""What the program that reads archives answers."""

from __future__ import annotations

import msgspec

from .structs import ModuleContents


class Answer(msgspec.Struct, omit_defaults=True):
    """One of the two."""

    contents: ModuleContents | None = None
    refused: str | None = None
