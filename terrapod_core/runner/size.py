"""How much of an environment Linux passes to a program (execve(2), "Limits on size of arguments and environment")."""

from __future__ import annotations

import os
import resource
from collections.abc import Mapping, Sequence

from .failures import PhaseFailed

ONE_STRING = 32 * os.sysconf("SC_PAGE_SIZE")
"""Bytes of one string: for a variable the name, an equals sign, the value and a zero."""

LEAST, MOST = 128 * 1024, 6 * 1024 * 1024
"""Bounds, in bytes, of what is taken for all strings and the pointers to them; between them it is a quarter of the stack's limit."""

POINTER = 8


def check(arguments: Sequence[str], env: Mapping[str, str]) -> None:
    """Raise `PhaseFailed` for what the kernel would refuse; it would not say which variable it was."""
    sizes = {name: len(os.fsencode(name)) + len(os.fsencode(value)) + 2 for name, value in env.items()}
    for name, size in sizes.items():
        if size > ONE_STRING:
            raise PhaseFailed(
                f"The environment variable {name} is too large: it has {size} bytes with its name, and Linux passes at most {ONE_STRING}."
            )
    total = sum(sizes.values()) + sum(len(os.fsencode(each)) + 1 for each in arguments) + POINTER * (len(sizes) + len(arguments))
    if total > (limit := all_strings()):
        raise PhaseFailed(
            f"The environment variables are too large together: with the arguments they have {total} bytes, "
            f"and Linux passes at most {limit}."
        )


def all_strings() -> int:
    """The limit for all of them, in bytes, in this process."""
    stack = resource.getrlimit(resource.RLIMIT_STACK)[0]
    return MOST if stack == resource.RLIM_INFINITY else max(min(stack // 4, MOST), LEAST)
