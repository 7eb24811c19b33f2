"""The program's side."""

from __future__ import annotations

import resource


def confine(*, memory_bytes: int, cpu_seconds: int) -> None:
    """Bound this process for good: its address space, its time on a processor, and no core dump of what it holds."""
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
