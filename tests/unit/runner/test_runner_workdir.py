from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from terrapod_core.runner import workdir
from terrapod_core.runner.failures import PhaseFailed
from terrapod_core.runner.order import Variable


@pytest.mark.parametrize(
    "names",
    [
        [],
        ["main.tf"],
        ["override.tf"],
        ["zzz_override.tf"],
        ["zzzz_terrapod_override.tf"],
        ["zzzz_terrapod_override.tf.json", "zzzzzzz_override.tf"],
        ["é_override.tf", "zzz_override.tf.json"],
        ["\U0010ffff\U0010ffff_override.tf"],
        ["~override.tf", "~_override.tf"],
        ["zzzzz_override.tofu"],
    ],
)
def test_our_override_sorts_after_every_other_one(names: list[str]) -> None:
    ours = workdir.override_name(names)
    assert ours.endswith("_override.tf")
    overrides = [name for name in names if "override." in name]
    assert all(os.fsencode(name) < os.fsencode(ours) for name in overrides)


def test_a_name_after_which_none_fits_is_refused() -> None:
    with pytest.raises(PhaseFailed, match="rename it"):
        workdir.override_name(["\U0010ffff" * 60 + "zzz_override.tf"])


def test_our_override_is_never_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "place").mkdir()
    (tmp_path / "target").write_text("untouched")
    with pytest.raises(FileExistsError):
        (tmp_path / "place" / "o.tf").symlink_to(tmp_path / "target")
        workdir.write_new(tmp_path / "place" / "o.tf", "ours")
    assert (tmp_path / "target").read_text() == "untouched"


def test_leftovers_of_other_runs_are_removed_and_modules_stay(tmp_path: Path) -> None:
    gone = ["terraform.tfstate", "terraform.tfstate.backup", "errored.tfstate", ".terraform.tfstate.lock.info"]
    gone += ["terraform.tfstate.d/x/terraform.tfstate", ".terraform/environment", ".terraform/terraform.tfstate", ".terraform/providers/p"]
    kept = ["main.tf", ".terraform/modules/modules.json", ".terraform.lock.hcl"]
    for name in [*gone, *kept]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    workdir.clean(tmp_path)
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()) == sorted(kept)


def test_a_data_directory_that_is_a_link_is_unlinked_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "file").touch()
    (tmp_path / "place").mkdir()
    (tmp_path / "place" / ".terraform").symlink_to(tmp_path / "elsewhere")
    workdir.clean(tmp_path / "place")
    assert not (tmp_path / "place" / ".terraform").is_symlink()
    assert (tmp_path / "elsewhere" / "file").exists()


def test_a_working_directory_behind_a_link_that_leaves_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "main.tf").touch()
    (tmp_path / "config" / "out").symlink_to(tmp_path)
    with pytest.raises(PhaseFailed, match="outside of the configuration"):
        workdir.enter(tmp_path / "config", "out")


def test_a_directory_beside_with_the_same_beginning_is_outside(tmp_path: Path) -> None:
    for name in ("config", "config-other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "main.tf").touch()
    with pytest.raises(PhaseFailed, match="outside"):
        workdir.enter(tmp_path / "config", "../config-other")


def test_variables_are_written_outside_literally_and_for_nobody_else(tmp_path: Path) -> None:
    texts, expressions = workdir.write_variables(
        tmp_path, [Variable("a", "${x}\n", hcl=False, sensitive=True), Variable("b", "[1]", hcl=True, sensitive=False)]
    )
    assert json.loads(texts.read_text()) == {"a": "${x}\n"}
    assert expressions.read_text() == "b = (\n[1]\n)\n"
    assert texts.stat().st_mode & 0o777 == 0o600


def test_a_variable_name_that_is_no_identifier_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PhaseFailed, match="cannot be the name"):
        workdir.write_variables(tmp_path, [Variable("a = 1\nb", "2", hcl=True, sensitive=False)])


def test_a_path_is_a_literal_in_hcl() -> None:
    assert workdir.quoted('/a/${b}/%{c}"') == '"/a/$${b}/%%{c}\\""'


def test_clearing_leaves_only_state_that_nobody_took(tmp_path: Path) -> None:
    layout = workdir.Layout(tmp_path / "work")
    layout.create()
    (layout.root / workdir.UNDELIVERED).touch()
    layout.clear()
    assert [path.name for path in layout.root.iterdir()] == [workdir.UNDELIVERED]
