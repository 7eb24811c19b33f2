from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from terrapod_core.errors import Invalid
from terrapod_core.runner import environment
from terrapod_core.runner.order import Variable
from terrapod_core.settings import Runner, Settings
from terrapod_core.variables.documents import MAX_ENV, MAX_VALUE, REFUSED, REFUSED_PREFIXES, check, own_tokens

NONE: frozenset[str] = frozenset()


@pytest.mark.parametrize("key", ["region", "_x", "a-b", "größe", "A1"])
def test_an_hcl_identifier_is_a_key(key: str) -> None:
    check(key, "terraform", "v", None, NONE)


@pytest.mark.parametrize("key", ["AWS_REGION", "TF_CLI_ARGS_plan", "TF_LOG", "TF_TOKEN_other_example_com", "_x", "a.b-c", "PATHS"])
def test_an_environment_name_is_a_key(key: str) -> None:
    check(key, "env", "v", None, NONE)


@pytest.mark.parametrize(("key", "category"), [("", "env"), ("1a", "env"), ("a b", "env"), ("a=b", "env"), ("é", "env"), ("", "terraform")])
@pytest.mark.parametrize("other", ["-a", "1a", "a b", "a.b", "a\nb"])
def test_what_is_neither_is_refused(key: str, category: str, other: str) -> None:
    for wrong, kind in ((key, category), (other, "terraform")):
        with pytest.raises(Invalid, match="Key is invalid") as refused:
            check(wrong, kind, "v", None, NONE)
        assert refused.value.problems[0].pointer == "/data/attributes/key"


@pytest.mark.parametrize(
    "key",
    [
        "LD_PRELOAD", "DYLD_INSERT_LIBRARIES", "PATH", "HOME", "TF_CLI_CONFIG_FILE", "TF_DATA_DIR", "TF_REATTACH_PROVIDERS",
        "TERRAPOD_DATABASE_URL", "ATLAS_TOKEN", "TF_TOKEN_tfe_example_com", "TF_TOKEN_runs__eu_example_com", "TF_TOKEN_localhost",
    ],
)  # fmt: skip
def test_a_name_that_is_the_runs_own_is_refused_in_the_environment_and_free_as_a_terraform_variable(key: str) -> None:
    runner = Runner(url="https://runs-eu.example.com")
    settings = Settings(external_url="https://tfe.example.com:8443", runner=runner, data_dir=Path("data"))
    with pytest.raises(Invalid, match="cannot be set"):
        check(key, "env", "v", None, own_tokens(settings))
    check(key, "terraform", "v", None, own_tokens(settings))


def test_what_the_runner_would_drop_is_refused_when_it_is_written() -> None:
    assert environment.REFUSED <= REFUSED
    assert set(environment.REFUSED_PREFIXES) <= set(REFUSED_PREFIXES)
    for url, name in (("https://tfe.example.com", "TF_TOKEN_tfe_example_com"), ("http://my-host:8080", "TF_TOKEN_my__host")):
        own = own_tokens(Settings(external_url=url))
        assert name in own
        assert environment.of_workspace([Variable(name, "x", hcl=False, sensitive=True)], url)[0] == {}


def test_everything_wrong_is_told_at_once() -> None:
    with pytest.raises(Invalid) as refused:
        check("a b", "terraform", "é" * (MAX_VALUE // 2 + 1), "x" * 513, NONE)
    assert [problem.pointer for problem in refused.value.problems] == [
        "/data/attributes/key",
        "/data/attributes/value",
        "/data/attributes/description",
    ]


def test_the_limits_themselves_are_allowed() -> None:
    check("k" * 128, "terraform", "x" * MAX_VALUE, "x" * 512, NONE)
    with pytest.raises(Invalid, match="128"):
        check("k" * 129, "env", "", None, NONE)


def test_an_environment_variable_is_as_long_as_linux_passes_on() -> None:
    longest = "x" * (MAX_ENV - 1)
    check("k", "env", longest, None, NONE)
    subprocess.run(["/bin/true"], env={"k": longest}, check=True)
    with pytest.raises(Invalid, match="environment variable") as refused:
        check("k", "env", longest + "x", None, NONE)
    assert [problem.pointer for problem in refused.value.problems] == ["/data/attributes/value"]
    with pytest.raises(OSError, match="too long"):
        subprocess.run(["/bin/true"], env={"k": longest + "x"}, check=True)


@pytest.mark.parametrize("category", ["", "policy-set", "Terraform"])
def test_there_are_two_categories(category: str) -> None:
    with pytest.raises(Invalid, match="Category must be terraform or env"):
        check("a", category, "", None, NONE)
