"""`terrapod listener` as it is, but as impatient as the servers of the fault tests. A program: `tests/faults/tools/crew.py` starts it."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from terrapod_core.cli import listener, main
from terrapod_core.listener import Place, asking, held, service

SHORTER: Final = 6
"""A lease of 60 seconds lasts 10 here."""


def hurry() -> None:
    """Shorten what hangs on the lease, and start runners that do the same."""
    shortened: tuple[tuple[Any, str], ...] = ((asking, "SILENCE_SECONDS"), (held, "LEASE_SECONDS"), (service, "RENEW_LOOK_SECONDS"))
    for module, name in shortened:
        setattr(module, name, getattr(module, name) / SHORTER)
    program: Any = listener
    place = program._place

    def with_hurried_runners(*arguments: Any) -> Place:
        found: Place = place(*arguments)
        return replace(found, program=(sys.executable, "-I", str(Path(__file__).with_name("hurried_runner.py"))))

    program._place = with_hurried_runners


if __name__ == "__main__":
    hurry()
    main()
