"""The wheel's Terraform behaves as the program it stands for."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

SLOW = """
resource "terraform_data" "slow" {
  provisioner "local-exec" { command = "echo started; exec sleep 60" }
}
"""


@pytest.fixture
def configuration(tmp_path: Path, terraform_115: Path) -> Path:
    """An initialised directory with one resource that takes a minute."""
    (tmp_path / "main.tf").write_text(SLOW)
    subprocess.run([terraform_115, "init", "-no-color"], cwd=tmp_path, check=True, capture_output=True)
    return tmp_path


def test_exit_codes_are_terraforms(configuration: Path, terraform_115: Path) -> None:
    plan = subprocess.run(
        [terraform_115, "plan", "-detailed-exitcode", "-no-color"], cwd=configuration, capture_output=True, text=True, check=False
    )
    assert plan.returncode == 2
    assert "1 to add" in plan.stdout

    unknown = subprocess.run([terraform_115, "no-such-command"], cwd=configuration, capture_output=True, text=True, check=False)
    assert unknown.returncode == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_stops_gracefully_and_keeps_the_state(configuration: Path, terraform_115: Path, number: signal.Signals) -> None:
    command = [str(terraform_115), "apply", "-auto-approve", "-no-color"]
    with subprocess.Popen(command, cwd=configuration, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as apply:
        assert apply.stdout is not None
        assert any("started" in line for line in apply.stdout)
        apply.send_signal(number)
        rest = apply.stdout.read()

    assert apply.returncode == 1
    assert "Gracefully shutting down" in rest
    assert "terraform_data" in (configuration / "terraform.tfstate").read_text()
