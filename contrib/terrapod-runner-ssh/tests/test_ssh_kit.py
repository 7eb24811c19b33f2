"""The kit, against a real sshd."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Make
from terrapod_runner_ssh.settings import SshRunnerSettings

from terrapod_core.plugin import PhaseSpec, RunnerBackend
from terrapod_core.testing.runners import Anew, PhaseThat, RunnerBackendKit


class TestSshRunner(RunnerBackendKit):
    @pytest.fixture
    def anew(self, make: Make, settings: SshRunnerSettings) -> Anew:
        return lambda: make(settings)

    @pytest.fixture
    def backend(self, anew: Anew) -> RunnerBackend:
        return anew()

    @pytest.fixture
    def restarted(self, anew: Anew) -> RunnerBackend:
        return anew()

    @pytest.fixture
    def phase_that(self, tmp_path: Path, manner: Path) -> PhaseThat:
        def phase_that(how: str) -> PhaseSpec:
            manner.write_text(how)
            return self.spec(tmp_path, how)

        return phase_that
