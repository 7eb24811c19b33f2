"""The local upstream: everything that mirrors are filled from, over real TLS, with knobs that a test turns while it runs.

    with upstream(terraform=program, running_provider=True) as up:
        Server(directory, settings={**engines, **up.settings})
        up.providers["acme/fake"].add("1.2.0")
        up.twist("/archives/*_darwin_arm64.zip", tampered=True)

It is reached as `up.host` (`localhost:PORT`), or as `up.dotted` (`127.0.0.1:PORT`) where terraform wants a dot: in a module's source.
Its authority is in `up.ca_file`, for terraform in `up.environment`, for a server under test in `up.settings`. Two of them in one process
share it, and are two hosts: what `up` redirects to, or names in a document, may be at `other.url`.

What it speaks, with the paths for `twist`, `count` and the like:

    HashiCorp's releases     /terraform/index.json, /terraform/V/index.json, /terraform/V/terraform_V_OS_ARCH.zip,
                             /terraform/V/terraform_V_SHA256SUMS, …_SHA256SUMS.sig and …_SHA256SUMS.KEYID.sig
    OpenTofu's               /tofu/api.json; /opentofu/opentofu/releases/download/vV/FILE, which redirects to /release-assets/V/FILE;
                             files are tofu_V_OS_ARCH.zip, tofu_V_SHA256SUMS, tofu_V_SHA256SUMS.gpgsig
    a registry               /.well-known/terraform.json, /v1/providers/NS/TYPE/versions, …/V/download/OS/ARCH,
                             /v1/modules/NS/NAME/SYSTEM/versions, …/V/download
    what it leads to         /archives/providers/NS/TYPE/V/FILE with sums and .sig, /archives/modules/NS/NAME/SYSTEM/V.tar.gz or V.zip
    forges                   /OWNER/REPO/archive/REF.tar.gz, which redirects to /OWNER/REPO/tar.gz/REF, as GitHub's and codeload's;
                             /OWNER/REPO/-/archive/REF/REPO-REF.tar.gz, as GitLab's
    a plain directory        /directory/terraform_V_OS_ARCH.zip and tofu_…, /directory/SHA256SUMS, /directory/SHA256SUMS.sig
    `providers mirror`       /mirror/HOST/NS/TYPE/index.json, V.json, terraform-provider-TYPE_V_OS_ARCH.zip; any HOST

What is there at the start: `terraform` 1.9.8, 1.12.0-beta1 and the version of the terraform at hand (1.11.4 when there is none), `tofu`
1.9.1 and 1.10.0, the provider `acme/fake` 1.0.0 and 1.1.0, the module `acme/pet/null` 1.0.0 (tar.gz) and 1.1.0 (zip), and the repository
`acme/terraform-null-pet` with the tag `v1.0.0`. Zips are for `PLATFORMS`: this machine's and three others.

Knobs of what is there (`upstream_releases.py` has their fields; all may be changed at any time):

    up.engines["terraform"]  .add(version, size=…) adds a version, .withdraw(version) takes one away
    up.providers["NS/TYPE"]  likewise; `up.add_provider("NS/TYPE")` makes a new one
    ….versions[V].files      take a platform out, and it is missing; put other bytes in, and the sums follow
    ….versions[V]            .signer = other_publisher(), .bad_signature, .shown_keys = (), .more_sums, .protocols
    up.modules["NS/NAME/SYSTEM"]   .add(version, kind=…, get="what X-Terraform-Get says"), .gets[V]
    up.repositories["OWNER/REPO"][REF]  the files of a forge
    up.services              what discovery says
    up.archives_url          where a registry's documents say that archives, sums and signatures are: another upstream's `url`
    up.assets_url            where OpenTofu's downloads and a forge's archives redirect to
    up.token                 bearer token without which registry documents answer 401; `None`: none is asked for
    up.protocol_warnings     what a provider's versions document warns of

Knobs of answers, by a pattern of paths (`fnmatch`: `*` is also `/`). `up.twist(pattern, …)` from now on, `up.twisted(pattern, …)` for a
block, `up.heal()` for the end of them all; of several the last counts:

    status=503               this status; with times=2 for the first two requests only, with every=2 for every second one
    body=b"…"                these bytes with 200, or a function that makes them of the right ones
    html=True                a page for people, with 200
    tampered=True            one bit is another
    location="https://…"     a redirect
    headers={…}, without=("ETag",)   more headers, or fewer
    declared=10              `Content-Length` lies
    cut=1000                 the connection is reset after so many bytes of the body
    ended=1000               it ends in good order there, and no `Content-Length` was told
    bytes_per_second=1000    slow
    gate=Gate(1000)          stands still there; `gate = up.gate(pattern, after=1000)`, then `gate.wait()` and `gate.open()`

What is seen of it: `up.asked` (requests with headers and what was sent), `up.count(pattern)`, `up.sent(pattern)` (bytes of bodies),
`up.first_byte_at(pattern)`, `up.connections`, `up.wait_for(count, pattern)`, `up.forget()`. Every content has an `ETag` and a
`Last-Modified`, and is answered with 304 to whoever has it. `up.stop()` and `up.start()` are at the same port; `with up.stopped():` is
both.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.support import real_provider
from tests.support.upstream_releases import (
    PLATFORMS,
    Blob,
    Module,
    Releases,
    Signed,
    engine_zip,
    h1_of,
    module_files,
    other_publisher,
    packed,
    publisher,
    real_release,
    stub,
)
from tests.support.upstream_server import Asked, Content, Gate, Twist, TwistedServer, authority

__all__ = ["PLATFORMS", "Gate", "Module", "Releases", "Signed", "Twist", "Upstream", "other_publisher", "publisher", "upstream"]

PLAIN_VERSION = "1.11.4"
"""Of the engine that stands where no terraform was given."""

SERVICES = {"providers.v1": "/v1/providers/", "modules.v1": "/v1/modules/"}


@contextmanager
def upstream(*, terraform: Path | None = None, running_provider: bool = False) -> Iterator[Upstream]:
    """One that runs. Engines are stubs that say their version, unless `terraform` is a real program; with `running_provider` terraform can
    start the provider `acme/fake` on this machine, and the test is skipped where its packages cannot be had.
    """
    with tempfile.TemporaryDirectory(prefix="terrapod-upstream-") as folder:
        made = Upstream(Path(folder), terraform, running_provider=running_provider)
        made.start()
        try:
            yield made
        finally:
            made.stop()


class Upstream(TwistedServer):
    """See this module's beginning."""

    def __init__(self, folder: Path, terraform: Path | None = None, *, running_provider: bool = False) -> None:
        super().__init__(self._look)
        self.folder = folder
        self.ca_file = folder / "ca.pem"
        authority().cert_pem.write_to_path(str(self.ca_file))
        self.engines = {tool: Releases(tool) for tool in ("terraform", "tofu")}
        self.providers: dict[str, Releases] = {}
        self.modules: dict[str, Module] = {}
        self.repositories: dict[str, dict[str, dict[str, bytes]]] = {"acme/terraform-null-pet": {"v1.0.0": module_files("1.0.0")}}
        self.services: dict[str, Any] = dict(SERVICES)
        self.archives_url: str | None = None
        self.assets_url: str | None = None
        self.token: str | None = None
        self.protocol_warnings: list[str] | None = None
        self._fill(terraform, running_provider)

    def _fill(self, terraform: Path | None, running_provider: bool) -> None:
        for version in ("1.9.8", "1.12.0-beta1"):
            self.engines["terraform"].add(version)
        self.terraform_version = PLAIN_VERSION
        files: dict[tuple[str, str], Blob] = {}
        if terraform is not None:
            self.terraform_version, files[real_provider.HERE] = engine_zip(terraform, self.folder)
        for platform in PLATFORMS:
            files.setdefault(platform, stub("terraform", self.terraform_version, platform))
        self.engines["terraform"].add(self.terraform_version, files)
        for version in ("1.9.1", "1.10.0"):
            self.engines["tofu"].add(version)
        fake = self.add_provider("acme/fake")
        for version in ("1.0.0", "1.1.0"):
            fake.add(version, real_release("fake", version) if running_provider else None)
        pet = self.modules["acme/pet/null"] = Module()
        pet.add("1.0.0")
        pet.add("1.1.0", kind="zip")

    def add_provider(self, address: str) -> Releases:
        """A provider `NAMESPACE/TYPE` without versions."""
        self.providers[address] = Releases(f"terraform-provider-{address.rpartition('/')[2]}")
        return self.providers[address]

    # -- how it is reached

    @property
    def host(self) -> str:
        """As in addresses of providers."""
        return f"localhost:{self.port}"

    @property
    def dotted(self) -> str:
        """As in addresses of modules: terraform takes no host without a dot there."""
        return f"127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """With which terraform trusts it."""
        return {"SSL_CERT_FILE": str(self.ca_file)}

    @property
    def settings(self) -> dict[str, str]:
        """With which a `Server` trusts it."""
        return {"OUTGOING__CA_FILE": str(self.ca_file)}

    # -- on disk

    def write_directory(self, folder: Path, tool: str = "terraform") -> None:
        """The plain directory of an engine, as files."""
        for name in self._directory_names(tool):
            content = self._directory(name)
            assert content is not None
            (folder / name).write_bytes(b"".join(content.pieces()))

    def write_tree(self, folder: Path, host: str) -> None:
        """What `terraform providers mirror` makes of all providers, for all platforms, as if they were this host's."""
        for address, provider in self.providers.items():
            target = folder / host / address
            target.mkdir(parents=True)
            names = ["index.json", *(f"{version}.json" for version in provider.versions)]
            names += [each.name(platform) for each in provider.versions.values() for platform in each.files]
            for name in names:
                content = self._mirror(f"{host}/{address}/{name}")
                assert content is not None
                (target / name).write_bytes(b"".join(content.pieces()))

    def _directory_names(self, tool: str) -> list[str]:
        zips = [each.name(platform) for each in self.engines[tool].versions.values() for platform in each.files]
        return [*zips, "SHA256SUMS", "SHA256SUMS.sig"]

    # -- what each path has

    @cached_property
    def _places(self) -> dict[str, Callable[[str], Content | None]]:
        return {
            "/terraform/": self._hashicorp,
            "/tofu/api.json": self._opentofu_index,
            "/opentofu/opentofu/releases/download/v": self._opentofu_download,
            "/release-assets/": self._opentofu_asset,
            "/v1/providers/": self._provider,
            "/v1/modules/": self._module,
            "/archives/providers/": self._provider_archive,
            "/archives/modules/": self._module_archive,
            "/directory/": self._directory,
            "/mirror/": self._mirror,
            "/": self._forge,
        }

    def _look(self, asked: Asked) -> Content | None:
        if asked.path == "/.well-known/terraform.json":
            return _document(self.services)
        if asked.path.startswith("/v1/") and self.token is not None and asked.headers.get("authorization") != f"Bearer {self.token}":
            return Content(b"You need a token.\n", "text/plain", {"WWW-Authenticate": "Bearer"}, 401)
        place = next(each for each in self._places if asked.path.startswith(each))
        return self._places[place](asked.path.removeprefix(place))

    # -- engines

    def _hashicorp(self, rest: str) -> Content | None:
        if rest == "index.json":
            versions = {each.version: self._hashicorp_version(each) for each in self.engines["terraform"].versions.values()}
            return _document({"name": "terraform", "versions": versions})
        version, _, name = rest.partition("/")
        release = self.engines["terraform"].versions.get(version)
        if release is None:
            return None
        return _document(self._hashicorp_version(release)) if name == "index.json" else _file_of(release, name)

    def _hashicorp_version(self, release: Signed) -> dict[str, Any]:
        base = f"{self.url}/terraform/{release.version}"
        told = {"name": "terraform", "version": release.version}
        builds = [
            {**told, "os": each[0], "arch": each[1], "filename": release.name(each), "url": f"{base}/{release.name(each)}"}
            for each in release.files
        ]
        sums, key = release.sums_name, release.signer.key_id[-8:]
        return {
            **told,
            "shasums": sums,
            "shasums_signature": f"{sums}.sig",
            "shasums_signatures": [f"{sums}.{key}.sig", f"{sums}.sig"],
            "builds": builds,
        }

    def _opentofu_index(self, _: str) -> Content:
        versions = []
        for release in self.engines["tofu"].versions.values():
            sums = [f"{release.sums_name}{end}" for end in ("", ".gpgsig", ".pem", ".sig")]
            others = [f"tofu_{release.version}_amd64.deb", f"tofu_{release.version}_linux_amd64.tar.gz"]
            versions.append({"id": release.version, "files": [*others, *sums, *map(release.name, release.files)]})
        return _document({"versions": versions})

    def _opentofu_download(self, rest: str) -> Content | None:
        version, _, name = rest.partition("/")
        if self.engines["tofu"].versions.get(version) is None:
            return None
        return _moved(f"{self.assets_url or self.url}/release-assets/{version}/{name}")

    def _opentofu_asset(self, rest: str) -> Content | None:
        version, _, name = rest.partition("/")
        release = self.engines["tofu"].versions.get(version)
        return None if release is None else _file_of(release, name)

    def _directory(self, name: str) -> Content | None:
        tool = "tofu" if name.startswith("tofu_") else "terraform"
        all_of = list(self.engines["terraform"].versions.values()) + list(self.engines["tofu"].versions.values())
        whole = Signed(tool, "", {}, publisher(), more_sums="".join(each.sums.decode() for each in all_of))
        if name in ("SHA256SUMS", "SHA256SUMS.sig"):
            return Content(whole.sums, "text/plain") if name == "SHA256SUMS" else Content(whole.signature)
        return next((found for each in all_of if (found := _file_of(each, name)) is not None), None)

    # -- a registry

    def _provider(self, rest: str) -> Content | None:
        namespace, kind, *words = rest.split("/")
        provider = self.providers.get(f"{namespace}/{kind}")
        if provider is None or not words:
            return None
        if words == ["versions"]:
            versions = [_offered(each) for each in provider.versions.values()]
            return _document({"id": f"{namespace}/{kind}", "versions": versions, "warnings": self.protocol_warnings})
        if len(words) != 4 or words[1] != "download":
            return None
        release, platform = provider.versions.get(words[0]), (words[2], words[3])
        if release is None or platform not in release.files:
            return None
        return _document(self._download(f"{namespace}/{kind}", release, platform))

    def _download(self, address: str, release: Signed, platform: tuple[str, str]) -> dict[str, Any]:
        base = f"{self.archives_url or self.url}/archives/providers/{address}/{release.version}"
        keys = [{"key_id": release.signer.key_id, "ascii_armor": each, "trust_signature": "", "source": ""} for each in release.keys]
        return {
            "protocols": list(release.protocols),
            "os": platform[0],
            "arch": platform[1],
            "filename": release.name(platform),
            "download_url": f"{base}/{release.name(platform)}",
            "shasums_url": f"{base}/{release.sums_name}",
            "shasums_signature_url": f"{base}/{release.sums_name}.sig",
            "shasum": release.digest(platform),
            "signing_keys": {"gpg_public_keys": keys},
        }

    def _provider_archive(self, rest: str) -> Content | None:
        address, _, file = rest.rpartition("/")
        address, _, version = address.rpartition("/")
        provider = self.providers.get(address)
        release = provider.versions.get(version) if provider is not None else None
        return None if release is None else _file_of(release, file)

    def _module(self, rest: str) -> Content | None:
        address, _, last = rest.rpartition("/")
        if last == "versions":
            module = self.modules.get(address)
            return None if module is None else _document({"modules": [{"versions": [{"version": each} for each in module.versions]}]})
        address, _, version = address.rpartition("/")
        module = self.modules.get(address)
        if last != "download" or module is None or version not in module.versions:
            return None
        where = f"{self.archives_url or ''}/archives/modules/{address}/{version}.{module.kinds[version]}"
        return Content(b"", headers={"X-Terraform-Get": module.gets.get(version, where)}, status=204)

    def _module_archive(self, rest: str) -> Content | None:
        address, _, file = rest.rpartition("/")
        module = self.modules.get(address)
        found = [each for each in module.versions if file == f"{each}.{module.kinds[each]}"] if module is not None else []
        return Content(module.archive(found[0])) if module is not None and found else None

    def _forge(self, rest: str) -> Content | None:
        owner, repository, *words = [*rest.split("/"), ""][:8]
        refs = self.repositories.get(f"{owner}/{repository}", {})
        for ref, files in refs.items():
            top = f"{repository}-{ref.removeprefix('v')}"
            if words[:2] == ["archive", f"{ref}.tar.gz"]:
                return _moved(f"{self.assets_url or self.url}/{owner}/{repository}/tar.gz/{ref}")
            if words[:2] == ["tar.gz", ref] or words[:4] == ["-", "archive", ref, f"{repository}-{ref}.tar.gz"]:
                return Content(packed(files, "tar.gz", top), "application/x-gzip")
        return None

    # -- a tree of `terraform providers mirror`

    def _mirror(self, rest: str) -> Content | None:
        _, _, inside = rest.partition("/")
        address, _, file = inside.rpartition("/")
        provider = self.providers.get(address)
        if provider is None:
            return None
        if file == "index.json":
            return _document({"versions": {each: {} for each in provider.versions}})
        for release in provider.versions.values():
            if file == f"{release.version}.json":
                archives = {"_".join(each): {"hashes": [h1_of(blob)], "url": release.name(each)} for each, blob in release.files.items()}
                return _document({"archives": archives})
            if (found := _file_of(release, file)) is not None and file.endswith(".zip"):
                return found
        return None


def _offered(release: Signed) -> dict[str, Any]:
    platforms = [{"os": each[0], "arch": each[1]} for each in release.files]
    return {"version": release.version, "protocols": list(release.protocols), "platforms": platforms}


def _file_of(release: Signed, name: str) -> Content | None:
    """A file of a release, by its name."""
    if name == release.sums_name:
        return Content(release.sums, "text/plain")
    ends = [".sig", ".gpgsig", f".{release.signer.key_id[-8:]}.sig"]
    if name in [release.sums_name + end for end in ends]:
        return Content(release.signature)
    platform = next((each for each in release.files if release.name(each) == name), None)
    if platform is None:
        return None
    return Content(release.files[platform], "application/zip", digest=release.digest(platform))


def _document(value: Any) -> Content:
    return Content(json.dumps(value).encode(), "application/json")


def _moved(to: str) -> Content:
    return Content(b"", "text/plain", {"Location": to}, 302)
