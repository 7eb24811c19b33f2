"""What a runner makes of the server's material about its engine's own access."""

from __future__ import annotations

from typing import Any

import pytest

from terrapod_core.runner import environment, workdir
from terrapod_core.runner.failures import PhaseFailed
from terrapod_core.runner.order import EngineAccess, Material, Variable

TOKEN = "terrapod-engine-abc_-DEF"


def access(*urls: str, token: str = TOKEN) -> EngineAccess:
    return EngineAccess.parse({"token": token, "urls": list(urls)})


@pytest.mark.parametrize(
    ("url", "host", "told"),
    [
        ("https://TFE.example.com", "tfe.example.com", None),
        ("https://tfe.example.com:443", "tfe.example.com", None),
        ("https://tfe.example.com:8443/", "tfe.example.com:8443", None),
        ("http://localhost:8080", "localhost:8080", "http://localhost:8080"),
        ("https://[::1]:8443", "[::1]:8443", None),
    ],
)
def test_a_server_is_named_as_configurations_name_it_and_over_http_its_services_are_told(url: str, host: str, told: str | None) -> None:
    assert access(url).hosts == {host: told}


def test_the_token_is_not_in_what_is_printed_of_it() -> None:
    assert TOKEN not in repr(access("https://tfe.example.com"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"token": TOKEN, "urls": ['https://a"b']},
        {"token": TOKEN, "urls": ["ftp://tfe.example.com"]},
        {"token": TOKEN, "urls": ["https://user@tfe.example.com"]},
        {"token": 'a"\n}', "urls": ["https://tfe.example.com"]},
        {"token": "", "urls": []},
        {"urls": []},
    ],
)
def test_material_that_would_write_something_else_into_the_configuration_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(PhaseFailed, match="cannot be read"):
        Material.parse({"phase": "plan", "run-id": "run-1", "engine-access": wrong})


def test_a_server_that_gives_the_engine_nothing_is_fine() -> None:
    assert Material.parse({"phase": "plan", "run-id": "run-1"}).engine_access is None


def test_the_token_stands_in_one_file_and_not_in_the_one_for_reading_plans(tmp_path: Any) -> None:
    layout = workdir.Layout(tmp_path / "work")
    layout.create()
    workdir.write_engine_config(layout.engine_config, workdir.cli_config(), access("https://tfe.example.com", "http://localhost:8080"))
    text = layout.engine_config.read_text()
    assert text.startswith(workdir.cli_config())
    assert f'credentials "tfe.example.com" {{\n  token = "{TOKEN}"\n}}' in text
    assert f'credentials "localhost:8080" {{\n  token = "{TOKEN}"\n}}' in text
    assert 'host "tfe.example.com"' not in text
    assert '"tfe.v2.1" = "http://localhost:8080/api/v2/"' in text
    assert '"modules.v1" = "http://localhost:8080/api/v2/registry/modules/"' in text
    assert '"providers.v1" = "http://localhost:8080/api/v2/registry/providers/"' in text
    assert layout.engine_config.stat().st_mode & 0o777 == 0o600
    assert TOKEN not in workdir.cli_config()


@pytest.mark.parametrize(
    ("key", "passes"),
    [
        ("TF_TOKEN_tfe_example_com", False),
        ("TF_TOKEN_TFE_example_com", False),
        ("TF_TOKEN_tfe.example.com", False),
        ("TF_TOKEN_localhost:8080", False),
        ("TF_TOKEN_127_0_0_1", False),
        ("TF_TOKEN_other_example_com", True),
        ("TF_TOKEN_tfe__example_com", True),
    ],
)
def test_no_variable_takes_the_place_of_the_token_for_a_name_of_the_server(key: str, passes: bool) -> None:
    hosts = access("https://tfe.example.com", "http://localhost:8080").hosts
    passed, _ = environment.of_workspace([Variable(key, "x", hcl=False, sensitive=False)], "http://127.0.0.1:8080", hosts)
    assert (key in passed) is passes


def test_a_certificate_is_trusted_beside_those_of_the_system_and_of_the_workspace(tmp_path: Any) -> None:
    assert environment.trusting({}, tmp_path) == {"SSL_CERT_DIR": f"{tmp_path}:/etc/ssl/certs:/etc/pki/tls/certs"}
    assert environment.trusting({"SSL_CERT_DIR": "/own"}, tmp_path) == {"SSL_CERT_DIR": f"{tmp_path}:/own"}


def test_mirrored_registries_are_asked_of_the_server_with_the_engines_token(tmp_path: Any) -> None:
    layout = workdir.Layout(tmp_path / "work")
    layout.create()
    own = access("https://tfe.example.com")
    mirrored = ("registry.example.com", "registry.example.com:8443", "tfe.example.com")
    workdir.write_engine_config(layout.engine_config, workdir.cli_config(), own, mirrored, "http://10.0.0.1:8080")
    text = layout.engine_config.read_text()
    for host in mirrored[:2]:
        assert f'credentials "{host}" {{\n  token = "{TOKEN}"\n}}' in text
        assert f'host "{host}" {{\n  services = {{\n    "providers.v1" = "http://10.0.0.1:8080/v1/providers/{host}/"' in text
        assert f'"modules.v1" = "http://10.0.0.1:8080/v1/modules/{host}/"' in text
    assert "/v1/providers/tfe.example.com" not in text, "the server does not mirror itself"
    assert text.count('credentials "tfe.example.com"') == 1


@pytest.mark.parametrize("wrong", ['a"b', "", "a/b", "user@a", 1, None])
def test_a_mirrored_host_that_is_none_is_refused(wrong: object) -> None:
    with pytest.raises(PhaseFailed, match="cannot be read"):
        Material.parse({"phase": "plan", "run-id": "run-1", "mirrored-hosts": ["registry.example.com", wrong]})


def test_mirrored_hosts_may_be_left_out() -> None:
    assert Material.parse({"phase": "plan", "run-id": "run-1"}).mirrored_hosts == ()
    told = Material.parse({"phase": "plan", "run-id": "run-1", "mirrored-hosts": ["Registry.example.com"]})
    assert told.mirrored_hosts == ("registry.example.com",)
