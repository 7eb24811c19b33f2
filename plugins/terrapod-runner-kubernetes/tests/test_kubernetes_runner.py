"""The kit, on a cluster on paper: kmock for the API, processes of this machine for pods."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from terrapod_core.plugin import PhaseSpec
from terrapod_core.testing.runners import Anew, PhaseThat, RunnerBackendKit
from terrapod_runner_kubernetes.backend import KubernetesRunner
from tests.support.kubelet import Kubelet


class TestKubernetesRunner(RunnerBackendKit):
    @pytest.fixture
    def backend(self, runner: KubernetesRunner) -> KubernetesRunner:
        return runner

    @pytest.fixture
    def restarted(self, again: KubernetesRunner) -> KubernetesRunner:
        return again

    @pytest.fixture
    def anew(self, made: Callable[[], KubernetesRunner]) -> Anew:
        return made

    @pytest.fixture
    def phase_that(self, tmp_path: Path, kubelet: Kubelet) -> PhaseThat:
        def phase_that(manner: str) -> PhaseSpec:
            kubelet.program[-1] = manner
            return replace(self.spec(tmp_path, manner), url="https://terrapod.example.com")

        return phase_that
