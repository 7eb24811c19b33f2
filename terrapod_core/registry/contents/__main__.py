"""`python -m terrapod_core.registry.contents ENTRIES UNPACKED_BYTES`: an archive on standard input, what is known of it on standard
output.

The two numbers are the most the archive may hold. What is written is JSON, either `{"contents": {…}}` or `{"refused": "…"}` with the
reason. Exit status: 0 for both; 1 when neither could be found out, and standard error says why in one line.
"""

from __future__ import annotations

import gc
import sys
from typing import Final

import msgspec

from terrapod_core.confined.limits import confine
from terrapod_core.errors import Invalid
from terrapod_core.tarballs import ArchiveLimits

from .answers import Answer
from .tree import read
from .understanding import understand

MEMORY_BYTES: Final = 1 << 30
"""Of address space: files as large as they may be fit, whatever they are made of but the very worst."""
CPU_SECONDS: Final = 120
"""For the whole: to look through an archive, however large, and to understand what is in it."""


def main() -> int:
    """Read, understand, write."""
    confine(memory_bytes=MEMORY_BYTES, cpu_seconds=CPU_SECONDS)
    gc.disable()  # there is no garbage in trees, and a third of the time went into looking for it
    entries, unpacked_bytes = map(int, sys.argv[1:])
    try:
        tree = read(sys.stdin.buffer, ArchiveLimits(entries=entries, unpacked_bytes=unpacked_bytes))
        answer = Answer(contents=understand(tree))
    except Invalid as refusal:
        answer = Answer(refused=refusal.detail)
    except MemoryError:
        sys.stderr.write("it takes too much memory to be understood\n")
        return 1
    sys.stdout.buffer.write(msgspec.json.encode(answer))
    sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
