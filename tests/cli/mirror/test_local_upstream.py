"""The local upstream itself: what the other tests of mirrors stand on."""

from __future__ import annotations

import hashlib
import os
import ssl
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from terrapod_core.packages import openpgp
from tests.support import real_provider
from tests.support.upstream import PLATFORMS, Upstream, other_publisher, publisher, upstream

PROVIDER = "/v1/providers/acme/fake"
ZIP = f"/archives/providers/acme/fake/1.0.0/terraform-provider-fake_1.0.0_{'_'.join(PLATFORMS[0])}.zip"
LATER = datetime(2040, 1, 1, tzinfo=UTC)


@pytest.fixture
def up() -> Iterator[Upstream]:
    with upstream() as up:
        yield up


@pytest.fixture
def http(up: Upstream) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=up.url, verify=ssl.create_default_context(cafile=up.ca_file), trust_env=False) as http:
        yield http


def test_hashicorps_releases_are_there_and_signed(up: Upstream, http: httpx.Client) -> None:
    found = http.get("/terraform/index.json").json()["versions"]
    assert set(found) == {"1.9.8", "1.11.4", "1.12.0-beta1"}
    one = http.get("/terraform/1.9.8/index.json").json()
    assert one == found["1.9.8"]
    sums = http.get(f"/terraform/1.9.8/{one['shasums']}").content
    for name in {one["shasums_signature"], *one["shasums_signatures"]}:
        openpgp.verify(sums, http.get(f"/terraform/1.9.8/{name}").content, publisher().armor, LATER)
    for build in one["builds"]:
        assert f"{hashlib.sha256(http.get(build['url']).content).hexdigest()}  {build['filename']}\n" in sums.decode()
    assert len(one["builds"]) == 4


def test_opentofus_releases_are_there_behind_redirects(up: Upstream, http: httpx.Client) -> None:
    listed = {each["id"]: each["files"] for each in http.get("/tofu/api.json").json()["versions"]}
    assert set(listed) == {"1.9.1", "1.10.0"}
    base = "/opentofu/opentofu/releases/download/v1.10.0"
    assert http.get(f"{base}/tofu_1.10.0_SHA256SUMS").status_code == 302
    sums = http.get(f"{base}/tofu_1.10.0_SHA256SUMS", follow_redirects=True).content
    signature = http.get(f"{base}/tofu_1.10.0_SHA256SUMS.gpgsig", follow_redirects=True).content
    openpgp.verify(sums, signature, publisher().armor, LATER)
    assert "tofu_1.10.0_windows_amd64.zip" in listed["1.10.0"]
    assert b"tofu_1.10.0_windows_amd64.zip" in sums


def test_modules_forges_and_the_plain_directory_are_there(up: Upstream, http: httpx.Client) -> None:
    versions = http.get("/v1/modules/acme/pet/null/versions").json()["modules"][0]["versions"]
    assert versions == [{"version": "1.0.0"}, {"version": "1.1.0"}]
    for version, kind in (("1.0.0", b"\x1f\x8b"), ("1.1.0", b"PK")):
        told = http.get(f"/v1/modules/acme/pet/null/{version}/download")
        assert (told.status_code, http.get(told.headers["X-Terraform-Get"]).content[:2]) == (204, kind)
    for path in ("archive/v1.0.0.tar.gz", "-/archive/v1.0.0/terraform-null-pet-v1.0.0.tar.gz"):
        assert http.get(f"/acme/terraform-null-pet/{path}", follow_redirects=True).content[:2] == b"\x1f\x8b"
    sums = http.get("/directory/SHA256SUMS").content
    assert sums.count(b"\n") == 4 * 5
    openpgp.verify(sums, http.get("/directory/SHA256SUMS.sig").content, publisher().armor, LATER)


def test_knobs_of_answers(up: Upstream, http: httpx.Client) -> None:
    right = http.get(ZIP).content
    with up.twisted(ZIP, tampered=True):
        assert len(http.get(ZIP).content) == len(right)
        assert http.get(ZIP).content != right
    with up.twisted(ZIP, status=503, times=2):
        assert [http.get(ZIP).status_code for _ in range(3)] == [503, 503, 200]
    with up.twisted("/archives/*", status=500, every=2):
        assert [http.get(ZIP).status_code for _ in range(4)] == [200, 500, 200, 500]
    with up.twisted(ZIP, html=True):
        assert http.get(ZIP).headers["Content-Type"] == "text/html"
    with up.twisted(ZIP, cut=20), pytest.raises(httpx.TransportError):
        http.get(ZIP)
    with up.twisted(ZIP, declared=len(right) + 1), pytest.raises(httpx.TransportError):
        http.get(ZIP)
    with up.twisted(ZIP, declared=10):
        assert http.get(ZIP).content == right[:10]
    with up.twisted(ZIP, ended=20):
        assert http.get(ZIP).content == right[:20]
    with up.twisted(ZIP, location="https://elsewhere.test/"):
        assert http.get(ZIP).headers["Location"] == "https://elsewhere.test/"
    assert http.get(ZIP).content == right


def test_conditional_requests(up: Upstream, http: httpx.Client) -> None:
    first = http.get("/terraform/index.json")
    assert http.get("/terraform/index.json", headers={"If-None-Match": first.headers["ETag"]}).status_code == 304
    assert http.get("/terraform/index.json", headers={"If-Modified-Since": first.headers["Last-Modified"]}).status_code == 304
    up.engines["terraform"].add("1.13.0")
    assert http.get("/terraform/index.json", headers={"If-None-Match": first.headers["ETag"]}).status_code == 200
    with up.twisted("*", without=("ETag",)):
        assert "ETag" not in http.get(ZIP).headers


def test_a_gate_holds_a_body_and_everything_is_counted(up: Upstream, http: httpx.Client) -> None:
    up.providers["acme/fake"].add("2.0.0", size=300_000)
    path = ZIP.replace("1.0.0", "2.0.0")
    gate = up.gate(path, after=100_000)
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(http.get, path) for _ in range(2)]
        for _ in asked:
            gate.wait()
        assert up.sent(path) == 200_000
        assert not any(each.done() for each in asked)
        gate.open()
        sizes = {len(each.result().content) for each in asked}
    assert up.sent(path) == 2 * sizes.pop()
    assert up.count("/archives/*") == up.count() == 2
    assert up.connections == 2
    up.forget()
    assert up.count() == 0


def test_it_is_gone_while_it_is_stopped_and_back_at_the_same_port(up: Upstream, http: httpx.Client) -> None:
    assert http.get(ZIP).status_code == 200
    with up.stopped(), pytest.raises(httpx.TransportError):
        http.get(ZIP)
    assert http.get(ZIP).status_code == 200


def test_what_it_has_changes_while_it_runs(up: Upstream, http: httpx.Client) -> None:
    fake = up.providers["acme/fake"]
    fake.withdraw("1.1.0")
    del fake.versions["1.0.0"].files[PLATFORMS[1]]
    told = http.get(f"{PROVIDER}/versions").json()["versions"]
    assert [(each["version"], len(each["platforms"])) for each in told] == [("1.0.0", 3)]
    assert http.get(f"{PROVIDER}/1.0.0/download/{'/'.join(PLATFORMS[1])}").status_code == 404
    up.token = "let-me-in"
    assert http.get(f"{PROVIDER}/versions").status_code == 401
    assert http.get(f"{PROVIDER}/versions", headers={"Authorization": "Bearer let-me-in"}).status_code == 200
    assert up.asked[-1].headers["authorization"] == "Bearer let-me-in"


# -- terraform itself


def initialise(program: Path, folder: Path, up: Upstream, configuration: str, installation: str = "") -> str:
    folder.mkdir()
    (folder / "main.tf").write_text(configuration)
    (folder / "rc").write_text(installation)
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "CHECKPOINT_DISABLE": "1", "TF_CLI_CONFIG_FILE": str(folder / "rc")}
    done = subprocess.run(
        [program, "init", "-no-color"], cwd=folder, env=environment | up.environment, capture_output=True, text=True, check=False
    )
    return f"{done.returncode} {' '.join((done.stdout + done.stderr).split())}"


def module(up: Upstream) -> str:
    return f'module "pet" {{\n  source = "{up.dotted}/acme/pet/null"\n  version = "1.0.0"\n}}\n'


def test_terraform_installs_from_it_by_registry_and_by_mirror_and_believes_no_other_key(terraform: Path, tmp_path: Path) -> None:
    with upstream(terraform=terraform, running_provider=True) as up:
        wanted = real_provider.configuration(f"{up.host}/acme/fake", "1.0.0")
        said = initialise(terraform, tmp_path / "registry", up, wanted + module(up))
        assert said.startswith("0 "), said
        assert f"self-signed, key ID {publisher().key_id}" in said

        network = f'provider_installation {{ network_mirror {{ url = "{up.url}/mirror/" }} }}'
        elsewhere = real_provider.configuration("registry.terraform.io/acme/fake", "1.1.0")
        assert initialise(terraform, tmp_path / "mirror", up, elsewhere, network).startswith("0 ")

        up.write_tree(tmp_path / "tree", "registry.terraform.io")
        local = f'provider_installation {{ filesystem_mirror {{ path = "{tmp_path / "tree"}" }} }}'
        assert initialise(terraform, tmp_path / "local", up, elsewhere, local).startswith("0 ")

        release = up.providers["acme/fake"].versions["1.0.0"]
        release.bad_signature = True
        assert "error checking signature" in initialise(terraform, tmp_path / "bad", up, wanted)
        release.bad_signature, release.shown_keys = False, (other_publisher().armor,)
        assert "signature" in initialise(terraform, tmp_path / "other", up, wanted)


def test_its_engine_is_the_one_at_hand(terraform: Path) -> None:
    with upstream(terraform=terraform) as up:
        release = up.engines["terraform"].versions[up.terraform_version]
        path = f"/terraform/{up.terraform_version}/{release.name(real_provider.HERE)}"
        with httpx.Client(verify=ssl.create_default_context(cafile=up.ca_file), trust_env=False) as http:
            assert hashlib.sha256(http.get(up.url + path).content).hexdigest() == release.digest(real_provider.HERE)
