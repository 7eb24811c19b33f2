"""Work on what strangers sent, in a process of its own with limits.

What takes seconds and many times its own size in memory, or may be made to, would in the server be everybody's. A program of the
core that does such work calls `limits.confine` first; the server starts it with `work.work`, hands it its input in pieces and takes
what it writes from a file, so that neither the size of the input nor the time it takes is felt by anybody else.
"""

from __future__ import annotations
