"""Longer and more lives of runs than `tests/db/runs/test_model.py` has time for, other ones each time."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.db.runs.test_model import check
from tests.support.databases import Databases


@pytest.mark.timeout(1200)  # some four minutes on a quiet machine
def test_runs_do_what_the_model_says_whatever_happens(databases: Databases, tmp_path: Path) -> None:
    check(databases, tmp_path, examples=60, steps=60, derandomize=False)
