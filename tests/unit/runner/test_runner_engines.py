from __future__ import annotations

from pathlib import Path

import pytest

from terrapod_core.runner.engines import Engine, find
from terrapod_core.runner.failures import PhaseFailed
from terrapod_core.runner.interruption import Interruption


def engine(path: Path, version: str) -> Path:
    """A program that says it is that version."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\necho \'{{"terraform_version": "{version}", "platform": "linux_amd64"}}\'\n')
    path.chmod(0o755)
    return path


def look(tmp_path: Path, version: str, tool: str | None = "terraform") -> Engine:
    return find(tool, version, engines_dir=tmp_path / "engines", search_path=f"{tmp_path}/one:{tmp_path}/two", interruption=Interruption())


def test_the_newest_that_fits_is_taken_from_the_directory_whatever_way_it_is_named(tmp_path: Path) -> None:
    engine(tmp_path / "engines/terraform_1.10.2", "1.10.2")
    engine(tmp_path / "engines/1.11.4/terraform", "1.11.4")
    engine(tmp_path / "engines/terraform", "1.9.8")
    engine(tmp_path / "one/terraform", "1.12.0")
    assert look(tmp_path, "latest").version == "1.11.4"
    assert look(tmp_path, "1.10").path.name == "terraform_1.10.2"
    assert look(tmp_path, "< 1.10").version == "1.9.8"
    assert look(tmp_path, "1.12.0").path == tmp_path / "one/terraform"


@pytest.mark.parametrize(
    "name",
    [
        "terraform",
        "terraform_1.9.8",
        "terraform-1.9.8",
        "terraform_v1.9.8",
        "terraform_1.9.8_linux_amd64",
        "1.9.8/terraform",
        "v1.9.8/terraform",
        "terraform_1.9.8/terraform",
        "terraform-1.9.8/terraform",
        "terraform_1.9.8_linux_amd64/terraform",
        "whatever/terraform",
    ],
)
def test_an_engine_is_found_under_any_name_that_people_give_it(tmp_path: Path, name: str) -> None:
    path = engine(tmp_path / "engines" / name, "1.9.8")
    for version in ("latest", "1.9.8", "1.9", "~> 1.9", ">= 1.5, < 2"):
        assert look(tmp_path, version).path == path


def test_the_other_tool_is_not_taken_for_the_one_that_is_wanted(tmp_path: Path) -> None:
    engine(tmp_path / "engines/tofu_1.9.8", "1.9.8")
    engine(tmp_path / "engines/1.8.0/tofu", "1.8.0")
    with pytest.raises(PhaseFailed, match="No such program is there"):
        look(tmp_path, "latest")
    assert look(tmp_path, "latest", "tofu").version == "1.9.8"


def test_the_first_on_the_path_that_fits_is_taken(tmp_path: Path) -> None:
    engine(tmp_path / "one/terraform", "1.9.0")
    engine(tmp_path / "two/terraform", "1.11.4")
    assert look(tmp_path, "latest").version == "1.9.0"
    assert look(tmp_path, "~> 1.11").version == "1.11.4"


def test_terraform_comes_before_tofu_when_nobody_says(tmp_path: Path) -> None:
    engine(tmp_path / "one/tofu", "1.9.0")
    assert look(tmp_path, "latest", None).title == "OpenTofu v1.9.0"
    engine(tmp_path / "two/terraform", "1.11.4")
    assert look(tmp_path, "latest", None).title == "Terraform v1.11.4"


def test_a_file_that_is_not_what_its_name_says_is_not_used(tmp_path: Path) -> None:
    engine(tmp_path / "engines/terraform_1.11.4", "1.5.0")
    with pytest.raises(PhaseFailed, match=r"says it is 1\.5\.0"):
        look(tmp_path, "1.11.4")


def test_the_error_names_what_was_looked_for_where_and_what_was_there(tmp_path: Path) -> None:
    engine(tmp_path / "two/terraform", "1.9.0")
    with pytest.raises(PhaseFailed) as failure:
        look(tmp_path, "~> 1.11")
    assert failure.value.message == (
        f"No terraform for version `~> 1.11` was found in the engines directory {tmp_path}/engines (there is none) and "
        f"PATH ({tmp_path}/one:{tmp_path}/two). Found instead: terraform 1.9.0 ({tmp_path}/two/terraform). "
        "Put it into that directory, as `terraform_VERSION` or `VERSION/terraform`, or ask for a version that is there "
        "(the workspace's terraform-version and execution-backend)."
    )


def test_the_error_is_short_however_many_engines_there_are(tmp_path: Path) -> None:
    for number in range(30):
        engine(tmp_path / f"engines/1.{number}.0/terraform", f"1.{number}.0")
    with pytest.raises(PhaseFailed, match=r"terraform 1\.0\.0 .* and others\. Put it"):
        look(tmp_path, "9.9.9")


def test_a_program_that_says_nothing_is_no_engine(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one/terraform").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "one/terraform").chmod(0o755)
    with pytest.raises(PhaseFailed, match="does not tell its version"):
        look(tmp_path, "latest")
