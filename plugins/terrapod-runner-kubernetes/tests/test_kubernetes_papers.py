"""The files in contrib/kubernetes and the page about them are what the plugin needs."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import kubernetes_validate
import pytest
import yaml

from terrapod_runner_kubernetes import cluster
from terrapod_runner_kubernetes.settings import KubernetesRunnerSettings
from tests.support import ROOT

FOLDER = ROOT / "contrib/kubernetes"
README = (ROOT / "plugins/terrapod-runner-kubernetes/README.md").read_text()


def objects() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((FOLDER / "runner.yaml").read_text()))


@pytest.mark.parametrize("version", ["1.35", "1.36", "1.37"])
def test_the_manifests_are_valid(version: str) -> None:
    for each in objects():
        kubernetes_validate.validate(each, version, strict=True)


def test_the_role_grants_exactly_what_is_asked_for() -> None:
    source = (ROOT / "plugins/terrapod-runner-kubernetes/src/terrapod_runner_kubernetes/cluster.py").read_text()
    asked = {(verb, resource, group) for verb, resource, group in re.findall(r'_asking\("(\w+)", "([\w/]+)"(?:, "(\w+)")?\)', source)}
    role = next(each for each in objects() if each["kind"] == "Role")
    granted = {
        (verb, resource, group)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert len(asked) >= 10, cluster.__name__
    assert granted == asked


def test_every_setting_is_in_the_readme() -> None:
    missing = [name for name in KubernetesRunnerSettings.__dataclass_fields__ if f"`{name}`" not in README]
    assert not missing


def test_the_pages_settings_are_settings() -> None:
    page = (ROOT / "docs/how-to/run-on-kubernetes.md").read_text()
    example = re.search(r"```toml\n(.*?)```", page, re.DOTALL)
    assert example is not None
    section: dict[str, Any] = tomllib.loads(example[1])["runner"]["kubernetes"]
    given: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in section.items()}
    assert KubernetesRunnerSettings(**given).tolerated() == [
        {"key": "runs", "operator": "Equal", "value": "only", "effect": "NoSchedule"},
    ]
