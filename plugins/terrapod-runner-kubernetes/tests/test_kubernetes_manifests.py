"""The manifests: a snapshot for each option, held strictly to the published schemas of the three newest versions.

`TERRAPOD_WRITE_SNAPSHOTS=1` writes the snapshots anew.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import kubernetes_validate
import pytest

from terrapod_core.plugin import PhaseSpec
from terrapod_runner_kubernetes import manifests
from terrapod_runner_kubernetes.settings import KubernetesRunnerSettings

SNAPSHOTS: Final = Path(__file__).parent / "snapshots"
VERSIONS: Final = ("1.35", "1.36", "1.37")
PLAIN: Final = KubernetesRunnerSettings(image="registry.example.com/runner:1")

OPTIONS: Final[Mapping[str, Mapping[str, Any]]] = {
    "namespace": {"namespace": "runs"},
    "instance": {"instance": "staging"},
    "image": {"image": "registry.example.com/other@sha256:0000000000000000000000000000000000000000000000000000000000000000"},
    "image_pull_policy": {"image_pull_policy": "Always"},
    "image_pull_secrets": {"image_pull_secrets": ("registry-a", "registry-b")},
    "node_selector": {"node_selector": ("pool=runs", "kubernetes.io/arch=amd64")},
    "tolerations": {"tolerations": ("runs=only:NoSchedule", "spot:NoExecute", "example.com/any")},
    "labels": {"labels": ("team=platform", "example.com/cost=42")},
    "annotations": {"annotations": ("example.com/note=Runs of terraform: one each", "karpenter.sh/do-not-disrupt=false")},
    "priority_class": {"priority_class": "runs"},
    "runtime_class": {"runtime_class": "gvisor"},
    "user": {"user": 1234},
    "cpu": {"cpu": "2"},
    "memory": {"memory": "4Gi"},
    "disk": {"disk": "20Gi"},
    "engines_dir": {"engines_dir": "/opt/engines"},
    "state_transport": {"state_transport": "file"},
    "stop_seconds": {"stop_seconds": 120},
    "most_seconds": {"most_seconds": 7200},
    "keep_seconds": {"keep_seconds": 0},
}
OUTSIDE_MANIFESTS: Final = {"kubeconfig", "context", "concurrency", "start_seconds", "force_seconds", "service_accounts"}
"""Settings that no manifest shows."""


def both(spec: PhaseSpec, settings: KubernetesRunnerSettings) -> dict[str, Any]:
    owner = {"name": manifests.name_of(settings.instance, spec.phase_id, spec.epoch), "uid": "5b2f7a9e-0000-4000-8000-000000000001"}
    return {"job": manifests.job(spec, settings), "secret": manifests.secret(spec, settings, owner)}


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value with its place."""
    if isinstance(value, Mapping) and value:
        for key, each in value.items():
            yield from leaves(each, f"{path}/{key}")
    elif isinstance(value, list) and value:
        for index, each in enumerate(value):
            yield from leaves(each, f"{path}/{index}")
    else:
        yield path, value


def changes(before: Any, after: Any) -> dict[str, Any]:
    """What an option changes: places with the value they get, `null` for one that is gone."""
    old, new = dict(leaves(before)), dict(leaves(after))
    gone = {path: None for path in old if path not in new}
    return dict(sorted({**{path: value for path, value in new.items() if path not in old or old[path] != value}, **gone}.items()))


def snapshot(name: str, found: Any) -> None:
    path = SNAPSHOTS / f"{name}.json"
    if os.environ.get("TERRAPOD_WRITE_SNAPSHOTS"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(found, indent=1) + "\n")
    assert found == json.loads(path.read_text())


def valid(manifest: Mapping[str, Any], version: str) -> None:
    kubernetes_validate.validate(manifest, version, strict=True)


@pytest.fixture
def whole(phase: PhaseSpec) -> PhaseSpec:
    """A phase of which everything is asked."""
    return replace(phase, cpu="1.5", memory="3ki", service_account="terrapod-runner-aws", certificate="-----BEGIN CERTIFICATE-----")


def test_the_schemas_are_the_three_newest() -> None:
    assert kubernetes_validate.latest_version().startswith(VERSIONS[-1])


def test_every_setting_is_shown_or_known_not_to_show() -> None:
    assert set(OPTIONS) | OUTSIDE_MANIFESTS == set(KubernetesRunnerSettings.__dataclass_fields__)


def test_the_plain_manifests(phase: PhaseSpec) -> None:
    snapshot("plain", both(phase, PLAIN))


def test_what_a_workspace_and_a_pool_ask_for(phase: PhaseSpec, whole: PhaseSpec) -> None:
    snapshot("asked-for", changes(both(phase, PLAIN), both(whole, PLAIN)))


def test_what_each_option_changes(phase: PhaseSpec) -> None:
    plain = both(phase, PLAIN)
    snapshot("options", {name: changes(plain, both(phase, replace(PLAIN, **option))) for name, option in OPTIONS.items()})


@pytest.mark.parametrize("version", VERSIONS)
def test_every_manifest_is_valid(version: str, phase: PhaseSpec, whole: PhaseSpec) -> None:
    every = replace(PLAIN, **{name: value for option in OPTIONS.values() for name, value in option.items()})
    for spec, settings in ((phase, PLAIN), (whole, PLAIN), (whole, every)):
        for manifest in both(spec, settings).values():
            valid(manifest, version)


def test_a_wrong_manifest_is_not_valid(phase: PhaseSpec) -> None:
    job = both(phase, PLAIN)["job"]
    job["spec"]["backofLimit"] = 1
    with pytest.raises(kubernetes_validate.ValidationError):
        valid(job, VERSIONS[-1])


def test_the_token_is_in_the_secret_alone(whole: PhaseSpec) -> None:
    made = both(whole, PLAIN)
    assert whole.token in json.dumps(made["secret"])
    assert whole.token not in json.dumps(made["job"])
    assert whole.token not in repr(whole)


def test_only_the_first_container_mounts_the_secret(phase: PhaseSpec) -> None:
    pod = both(phase, PLAIN)["job"]["spec"]["template"]["spec"]
    mounts = {each["name"]: {mount["name"] for mount in each["volumeMounts"]} for each in (*pod["initContainers"], *pod["containers"])}
    assert mounts == {"order": {"secret", "order"}, "runner": {"order", "work", "tmp"}}


def test_a_service_account_and_its_token_come_only_where_the_pool_asks(phase: PhaseSpec, whole: PhaseSpec) -> None:
    without, with_one = (both(each, PLAIN)["job"]["spec"]["template"]["spec"] for each in (phase, whole))
    assert ("serviceAccountName" in without, without["automountServiceAccountToken"]) == (False, False)
    assert (with_one["serviceAccountName"], with_one["automountServiceAccountToken"]) == ("terrapod-runner-aws", True)


def test_names_of_launches_differ_where_their_ids_do() -> None:
    ids = ("plan-9kPXtbAVfmCkwGsT", "plan-9kpxtbavfmckwgst", "apply-9kPXtbAVfmCkwGsT", "plan-" + "x" * 60)
    names = {manifests.name_of(instance, each, epoch) for instance in ("a", "b") for each in ids for epoch in (1, 2, 1000)}
    assert len(names) == 2 * len(ids) * 3
    assert all(len(each) <= 63 and each == each.lower() for each in names)


@pytest.mark.parametrize("wrong", ["", "a b", "run-../x", "-x", "x" * 70])
def test_an_id_that_is_none_makes_no_label(wrong: str) -> None:
    with pytest.raises(ValueError, match="no id"):
        manifests.labels_of(wrong, "plan-9kPXtbAVfmCkwGsT", 1)


@pytest.mark.parametrize(("asked", "written"), [("1K", "1k"), ("1ki", "1Ki"), ("2Gi", "2Gi"), ("1.5G", "1.5G"), ("512", "512")])
def test_amounts_are_written_as_kubernetes_knows_them(asked: str, written: str) -> None:
    assert manifests.quantity(asked) == written


@pytest.mark.parametrize(
    "wrong",
    [
        {"concurrency": 0},
        {"user": 0},
        {"keep_seconds": -1},
        {"instance": "Not A Name"},
        {"namespace": "UPPER"},
        {"service_accounts": ("Deployer",)},
        {"service_accounts": ("",)},
        {"context": "other"},
        {"engines_dir": "relative"},
        {"cpu": "many"},
        {"memory": "1 GB"},
        {"disk": "1Zi"},
        {"node_selector": ("pool",)},
        {"labels": ("a=b c",)},
        {"labels": ("terrapod.io/run=mine",)},
        {"annotations": ("=x",)},
        {"tolerations": ("a=b:Sometimes",)},
        {"tolerations": ("",)},
    ],
)
def test_a_wrong_setting_is_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        replace(PLAIN, **wrong)
