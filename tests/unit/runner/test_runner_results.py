from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import pytest

from terrapod_core.runner.failures import PhaseFailed
from terrapod_core.runner.results import Counts, Tally, planned
from terrapod_core.runner.saved_plan import SavedPlan, check_origin, read
from terrapod_core.runner.states import Head, NoState, read_head

LINES = (
    b"\x1b[0m\x1b[1mterraform_data.a: Creation complete after 0s [id=x]\x1b[0m\n"
    b'terraform_data.b["k"]: Destruction complete after 2s\n'
    b"terraform_data.c: Modifications complete after 1s [id=y]\n"
    b"terraform_data.a (local-exec): terraform_data.z: Creation complete after 0s\n"
)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_failed_apply_is_counted_by_what_it_said_was_done(size: int) -> None:
    tally = Tally()
    for start in range(0, len(LINES), size):
        tally.feed(LINES[start : start + size])
    assert tally.counts == Counts(additions=1, changes=1, destructions=1)


def test_the_summary_line_has_the_last_word() -> None:
    tally = Tally()
    tally.feed(LINES + b"\x1b[0m\x1b[1m\x1b[32m\nApply complete! Resources: 4 imported, 5 added, 6 changed, 7 destroyed.\n")
    assert tally.counts == Counts(5, 6, 7, 4)


def test_a_plan_counts_a_replacement_twice_and_data_sources_not_at_all(tmp_path: Path) -> None:
    def change(*actions: str, **more: object) -> dict[str, object]:
        return {"mode": "managed", "change": {"actions": actions, **more}}

    changes = [change("create"), change("delete", "create"), change("update"), change("no-op", importing={"id": "x"}), change("forget")]
    changes.append({"mode": "data", "change": {"actions": ["create"]}})
    (tmp_path / "plan.json").write_text(json.dumps({"resource_changes": changes}))
    assert planned(tmp_path / "plan.json", Counts()) == Counts(additions=2, changes=1, destructions=1, imports=1)


@pytest.mark.parametrize(
    ("origin", "state", "same"),
    [
        (Head(3, "l"), Head(3, "l"), True),
        (Head(3, "l"), Head(4, "l"), False),
        (Head(3, "l"), Head(3, "m"), False),
        (Head(3, "l"), None, False),
        (Head(0, ""), None, True),
        (Head(0, ""), Head(1, "l"), False),
        (None, Head(1, "l"), True),
    ],
)
def test_a_plan_fits_only_the_state_it_was_made_from(origin: Head | None, state: Head | None, same: bool) -> None:
    plan = SavedPlan(origin, None)
    if same:
        check_origin(plan, state)
    else:
        with pytest.raises(PhaseFailed, match="plan again"):
            check_origin(plan, state)


def test_a_plan_file_gives_its_origin_and_its_lock(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("tfstate", '{"serial": 3, "lineage": "l"}')
        archive.writestr(".terraform.lock.hcl", "provider {}")
    (tmp_path / "plan").write_bytes(buffer.getvalue())
    assert read(tmp_path / "plan", tool="terraform") == SavedPlan(Head(3, "l"), b"provider {}")


def test_something_else_is_no_plan_of_terraform_but_may_be_an_encrypted_one_of_tofu(tmp_path: Path) -> None:
    (tmp_path / "plan").write_bytes(b"\x00sealed")
    with pytest.raises(PhaseFailed, match="not a plan file"):
        read(tmp_path / "plan", tool="terraform")
    assert read(tmp_path / "plan", tool="tofu") == SavedPlan(None, None)


def test_a_state_is_known_by_its_first_lines_or_by_all_of_it(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.write_text('{\n  "version": 4,\n  "terraform_version": "1.11.4",\n  "serial": 12,\n  "lineage": "l",\n  "outputs"')
    assert read_head(path) == Head(12, "l")
    path.write_text('{"lineage": "m", "serial": 4, "version": 4}')
    assert read_head(path) == Head(4, "m")


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"serial": 1', '{"serial": "x", "lineage": ""}'])
def test_bytes_that_are_no_state_are_told_from_one(tmp_path: Path, text: str) -> None:
    (tmp_path / "state").write_text(text)
    with pytest.raises(NoState):
        read_head(tmp_path / "state")
