"""A plan and an apply of the runner program, and what they are tried with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.cli.runner.conftest import RunnerProgram
from tests.cli.runner.phase_server import archive

THREE = """
resource "terraform_data" "a" {
  count = 3
  input = count.index
}
"""


def slow(ready: Path, release: Path) -> str:
    """One resource that is done at once, and one whose provisioner says it runs and then waits for a file."""
    return f"""
resource "terraform_data" "quick" {{
}}
resource "terraform_data" "slow" {{
  depends_on = [terraform_data.quick]
  provisioner "local-exec" {{
    command = "echo >{ready}; while [ ! -e {release} ]; do sleep 0.05; done"
  }}
}}
"""


def plan(runner: RunnerProgram, configuration: str, **material: object) -> dict[str, Any]:
    runner.server.configuration = archive({"main.tf": configuration})
    runner.server.begin("plan", **material)
    report = runner.carry_out()
    assert report["status"] == "finished", runner.server.text
    return report


def apply(runner: RunnerProgram, **material: object) -> dict[str, Any]:
    runner.server.begin("apply", **material)
    return runner.carry_out()


def resources(state: bytes | None) -> dict[str, str]:
    """Name of each instance in a state, with its status."""
    found: dict[str, str] = {}
    for resource in json.loads(state or b'{"resources": []}')["resources"]:
        for instance in resource["instances"]:
            found[f"{resource['name']}{instance.get('index_key', '')}"] = instance.get("status", "good")
    return found
