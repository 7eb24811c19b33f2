"""What a server makes at its start and keeps to its end, kept out of the garbage collector's way.

Imports and models are a million objects. The collector looked through them again and again while they were made, a tenth of a start, and
whenever a server had been at work for a while: a pause of a tenth of a second for everybody who asked.
"""

from __future__ import annotations

import gc


def begin() -> None:
    """Make what stays, without anybody looking for rubbish in it. `done` ends this; a process that dies before needs no collector."""
    gc.disable()


def done() -> None:
    """Look for rubbish from here on, in what comes."""
    gc.freeze()
    gc.enable()
