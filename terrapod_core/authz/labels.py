"""What a label may be, on whatever roles choose by labels."""

from __future__ import annotations

import re
from typing import Final

MOST: Final = 50
"""Labels of one thing."""

KEY: Final = re.compile(r"[A-Za-z0-9_.=+\-@:/]{1,255}")
VALUE: Final = re.compile(r"[A-Za-z0-9_.=+\-@:/ ]{0,256}")
