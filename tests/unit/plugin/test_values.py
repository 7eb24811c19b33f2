"""Value types that check themselves, and the door's own imports."""

from __future__ import annotations

import subprocess
import sys

import pytest

from terrapod_core import plugin
from terrapod_core.plugin import Callback, Migrations, PhaseSpec, StoredPassword, check_key


@pytest.mark.parametrize("key", ["a", "states/ws-1/sv-2.json", "A_b-c.d/0"])
def test_a_key_of_plain_segments_is_one(key: str) -> None:
    assert check_key(key) == key


@pytest.mark.parametrize("key", ["", "/a", "a/", "a//b", "..", "a/../b", ".a", "a b", "a\n", "é", "x" * 513])
def test_a_key_that_could_name_anything_else_is_none(key: str) -> None:
    with pytest.raises(ValueError, match="no object key"):
        check_key(key)


@pytest.mark.parametrize(
    ("package", "table"),
    [("no-package", "t_migrations"), ("pkg.", "t"), ("pkg", "alembic_version"), ("pkg", "Upper"), ("pkg", "a;drop"), ("pkg", "x" * 64)],
)
def test_migrations_that_could_not_run_are_refused(package: str, table: str) -> None:
    with pytest.raises(ValueError):
        Migrations(package, table)


def test_no_secret_is_in_a_repr() -> None:
    phase = PhaseSpec("run-1", "plan-1", "plan", 1, "http://x", "hunter2", None, ("true",), None, "o", "w")
    values = (phase, Callback({"password": "hunter2"}, "state"), StoredPassword("user-1", "a@b", "a", "hunter2"))
    assert "hunter2" not in repr(values)


def test_all_that_the_door_promises_is_behind_it() -> None:
    assert [name for name in plugin.__all__ if not hasattr(plugin, name)] == []
    assert sorted(plugin.__all__) == sorted(set(plugin.__all__))


def test_the_door_opens_without_the_web_and_the_database() -> None:
    heavy = "import sys, terrapod_core.plugin; print(*sorted({'quart', 'sqlalchemy', 'httpx', 'alembic'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
