"""`python -m terrapod_core.vcs.packing ORDER`: a gzip tar on standard input, another one on standard output, and behind that the notes.

The notes are JSON; their length stands behind them, four bytes, the highest first. What is wrong is said in a sentence on standard error.
"""

from __future__ import annotations

import struct
import sys
import tarfile
import zlib

import msgspec

from terrapod_core.confined.limits import confine
from terrapod_core.vcs.packing.order import Notes, Order
from terrapod_core.vcs.packing.repacking import Refused, repack

MEMORY_BYTES = 512 << 20
CPU_SECONDS = 600


def main() -> int:
    """The exit status: 0, or 1 with a sentence on standard error."""
    confine(memory_bytes=MEMORY_BYTES, cpu_seconds=CPU_SECONDS)
    order = msgspec.json.decode(sys.argv[1], type=Order)
    notes = Notes()
    try:
        repack(sys.stdin.buffer, sys.stdout.buffer, order, notes)
    except Refused as refused:
        sys.stderr.write(str(refused))
        return 1
    except (tarfile.TarError, EOFError, zlib.error, OSError, UnicodeError):
        sys.stderr.write("what the forge sent is no whole gzip tar")
        return 1
    said = msgspec.json.encode(notes)
    sys.stdout.buffer.write(said + struct.pack(">I", len(said)))
    sys.stdout.buffer.flush()
    return 0


sys.exit(main())
