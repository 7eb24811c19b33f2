"""What plugins are given."""

from __future__ import annotations

from pathlib import Path

import pytest

from terrapod_core.plugin import PluginContexts
from terrapod_core.testing import FakeClock, MemoryOnce, MemoryPasswords


@pytest.fixture
def contexts(tmp_path: Path) -> PluginContexts:
    return PluginContexts(clock=FakeClock(), data_dir=tmp_path, passwords=MemoryPasswords(), once=MemoryOnce())
