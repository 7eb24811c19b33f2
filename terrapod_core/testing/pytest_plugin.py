"""Fixtures for whoever tests a plugin."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.register_assert_rewrite(
    *(f"terrapod_core.testing.{kit}" for kit in ("auth", "coordination", "keys", "mirrors", "runners", "storage", "vcs"))
)

if TYPE_CHECKING:
    from terrapod_core.plugin import PluginContext
    from terrapod_core.testing import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands still until `clock.advance(…)`."""
    from terrapod_core.testing import FakeClock

    return FakeClock()


@pytest.fixture
def plugin_context(tmp_path: Path, clock: FakeClock) -> PluginContext:
    """What a `register_*` hook gets, without settings; `dataclasses.replace(plugin_context, settings=…)` gives it some."""
    from terrapod_core.plugin import PluginContexts, PluginSettings
    from terrapod_core.testing import MemoryOnce, MemoryPasswords

    contexts = PluginContexts(clock=clock, data_dir=tmp_path, passwords=MemoryPasswords(), once=MemoryOnce())
    return contexts("test", PluginSettings())
