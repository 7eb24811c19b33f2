"""The kit, on a cluster on paper: kmock for the API, processes of this machine for pods."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from terrapod_core.plugin import PhaseSpec
from terrapod_core.testing.runners import RunnerBackendKit
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
    def phase(self, tmp_path: Path, kubelet: Kubelet) -> PhaseSpec:
        kubelet.program[-1] = "waiting"
        return replace(self.spec(tmp_path, "waiting"), url="https://terrapod.example.com")

    @pytest.fixture
    def deaf_phase(self, tmp_path: Path, kubelet: Kubelet) -> PhaseSpec:
        kubelet.program[-1] = "deaf"
        return replace(self.spec(tmp_path, "deaf"), url="https://terrapod.example.com")
