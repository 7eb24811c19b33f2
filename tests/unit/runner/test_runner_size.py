from __future__ import annotations

import subprocess

import pytest

from terrapod_core.runner import size
from terrapod_core.runner.failures import PhaseFailed

PROGRAM = "/bin/true"


def starts(env: dict[str, str]) -> bool:
    """Whether the kernel takes it."""
    try:
        subprocess.run([PROGRAM], env=env, check=True)
    except OSError:
        return False
    return True


def test_a_variable_that_the_kernel_refuses_is_named_with_its_limit() -> None:
    longest = "x" * (size.ONE_STRING - len("OLD") - 2)
    size.check([PROGRAM], {"OLD": longest})
    assert starts({"OLD": longest})
    with pytest.raises(PhaseFailed, match=rf"variable OLD is too large: it has {size.ONE_STRING + 1} bytes.*{size.ONE_STRING}"):
        size.check([PROGRAM], {"A": "b", "OLD": longest + "x"})
    assert not starts({"OLD": longest + "x"})


def test_variables_that_the_kernel_refuses_together_are_told_with_the_limit() -> None:
    few, many = (
        {f"V{number}": "x" * 100_000 for number in range(most)} for most in (size.all_strings() // 101_000, size.all_strings() // 99_000)
    )
    size.check([PROGRAM], few)
    assert starts(few)
    with pytest.raises(PhaseFailed, match=rf"too large together.*{size.all_strings()}"):
        size.check([PROGRAM], many)
    assert not starts(many)
