"""`python -m terrapod_core.runner`: one order on standard input, one phase, and the end.

Exit status: 0 the server has the report; 2 standard input held no order; 3 the phase was not (or is no longer) this runner's;
4 the server refused.
"""

from __future__ import annotations

import ctypes
import os
import resource
import sys

from .interruption import Interruption
from .notes import note
from .order import BadOrder, Order
from .phase import carry_out

PR_SET_DUMPABLE = 4


def harden() -> None:
    """Nobody else's files, memory or core dumps: what the engine runs may be hostile and may have our user id."""
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def main() -> int:
    harden()
    try:
        order = Order.parse(sys.stdin.buffer.read())
        if order.sandbox is not None:
            order.sandbox.prepare()
    except (BadOrder, OSError) as error:
        note(str(error))
        return 2
    interruption = Interruption()
    interruption.listen()
    try:
        return carry_out(order, interruption)
    finally:
        if order.sandbox is not None:
            order.sandbox.close()


if __name__ == "__main__":
    sys.exit(main())
