"""`python -m terrapod_core.redaction`: three documents on standard input, the redacted plan on standard output.

The documents are the plan's JSON, the providers' schemas, and a JSON object `{"names": […], "texts": […]}`: the variables that the
workspace keeps as sensitive, and other texts that nobody may read. Each comes in frames, four bytes of length (big-endian) and so
many bytes, and ends with an empty one. Exit status: 0 done; 1 not, and standard error says why in one line.
"""

from __future__ import annotations

import sys
from typing import BinaryIO, Final

import msgspec

from terrapod_core.confined.limits import confine

from .plan import Sensitive, redact

MEMORY_BYTES: Final = 3 << 30
"""Of address space: a plan as large as the server hands over fits, whatever it is made of but the very worst."""
CPU_SECONDS: Final = 120


def document(source: BinaryIO) -> bytes:
    """The next of the documents; raises `EOFError` when the input ends before it does."""
    pieces = []
    while size := int.from_bytes(_exactly(source, 4)):
        pieces.append(_exactly(source, size))
    return b"".join(pieces)


def _exactly(source: BinaryIO, size: int) -> bytes:
    data = source.read(size)
    if len(data) < size:
        raise EOFError("the input ended in the middle of a document")
    return data


def main() -> int:
    """Read, redact, write."""
    confine(memory_bytes=MEMORY_BYTES, cpu_seconds=CPU_SECONDS)
    source = sys.stdin.buffer
    try:
        plan, schemas = document(source), document(source)
        sensitive = msgspec.json.decode(document(source), type=Sensitive)
        sys.stdout.buffer.write(redact(plan, schemas, sensitive))
        sys.stdout.buffer.flush()
    except MemoryError:
        sys.stderr.write("the plan is too large to be taken apart\n")
    except RecursionError:
        sys.stderr.write("the plan is nested too deeply to be taken apart\n")
    except EOFError as error:
        sys.stderr.write(f"{error}\n")
    except (msgspec.DecodeError, AttributeError, KeyError, TypeError, ValueError):
        # Not its words: they may quote the plan.
        sys.stderr.write("the plan's JSON is not in the form that terraform gives it\n")
    else:
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
