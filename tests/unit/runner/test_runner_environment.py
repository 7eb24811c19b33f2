from __future__ import annotations

from pathlib import Path

import pytest

from terrapod_core.runner import environment
from terrapod_core.runner.order import Variable

URL = "https://tfe-1.example.com:8443/prefix"


def passed(key: str, value: str = "x") -> tuple[dict[str, str], list[str]]:
    return environment.of_workspace([Variable(key, value, hcl=False, sensitive=False)], URL)


@pytest.mark.parametrize(
    "key",
    [
        "LD_PRELOAD", "DYLD_INSERT_LIBRARIES", "PATH", "HOME", "TMPDIR", "TF_CLI_CONFIG_FILE", "TERRAFORM_CONFIG", "TF_DATA_DIR",
        "TF_REATTACH_PROVIDERS", "TERRAPOD_X", "TF_TOKEN_tfe__1_example_com", "ATLAS_TOKEN", "TF_HTTP_ADDRESS", "TF_WORKSPACE",
        "", "A=B", "A\0B",
    ],
)  # fmt: skip
def test_a_name_that_would_take_over_the_runner_is_left_out_with_a_line(key: str) -> None:
    variables, notes = passed(key)
    assert variables == {}
    assert len(notes) == 1


@pytest.mark.parametrize("key", ["AWS_REGION", "TF_LOG", "TF_TOKEN_other_example_com", "TF_VAR_x", "PATHS", "HTTPS_PROXY"])
def test_other_names_pass(key: str) -> None:
    assert passed(key, "value") == ({key: "value"}, [])


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("-parallelism=30", "-parallelism=30"),
        ("-parallelism=30 -json", "-parallelism=30"),
        ("-out=x -state other -lock=false", "-lock=false"),
        ("--backend-config=address=http://x", ""),
        ("'unclosed", "'unclosed"),
    ],
)
def test_flags_that_divert_plan_state_or_log_are_left_out_of_the_arguments(value: str, kept: str) -> None:
    variables, _ = passed("TF_CLI_ARGS_plan", value)
    assert variables == {"TF_CLI_ARGS_plan": kept}


def test_the_engine_gets_nothing_of_our_environment_but_what_is_named() -> None:
    own = {"PATH": "/bin", "SSL_CERT_FILE": "/ca.pem", "DATABASE_URL": "postgres://secret", "TF_VAR_x": "1"}
    given = environment.base(own, home=Path("/h"), temporary=Path("/t"), cli_config=Path("/c"))
    assert given == {
        "PATH": "/bin",
        "HOME": "/h",
        "TMPDIR": "/t",
        "CHECKPOINT_DISABLE": "1",
        "TF_IN_AUTOMATION": "1",
        "TF_INPUT": "0",
        "TF_CLI_CONFIG_FILE": "/c",
        "SSL_CERT_FILE": "/ca.pem",
    }


def test_without_a_path_of_our_own_there_is_a_usual_one() -> None:
    assert "/usr/bin" in environment.engine_path({})
