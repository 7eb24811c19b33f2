"""The runner program as it is, but as impatient as becomes a lease of ten seconds. A program: `hurried_listener.py` has it started."""

from __future__ import annotations

import sys
from typing import Any, Final

from terrapod_core.runner import client
from terrapod_core.runner.__main__ import main

SHORTER: Final = 4
"""Not 6, as the lease: what waits for an answer for as long as a lease lasts must be seen to lose it, however late that is noticed."""

if __name__ == "__main__":
    hurried: Any = client
    hurried.TIMEOUT = client.TIMEOUT / SHORTER
    hurried.LEASE_TIMEOUT = client.LEASE_TIMEOUT / SHORTER
    sys.exit(main())
