"""People whose terraform gets providers and modules from a server's mirrors, and the settings with which the server has them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from tests.support.real_provider import configuration
from tests.support.server import Server
from tests.support.tf import Terraform
from tests.support.upstream import Upstream

REGISTRY = "registry.example.com"
"""What configurations call the upstream. A host with a port would do for modules and for the registry protocol, and not for the network
mirror protocol: terraform 1.11 takes `localhost:8443/acme/fake/index.json` for a URL with the scheme `localhost`."""

LOCK_FILE = ".terraform.lock.hcl"


def settings_of(up: Upstream) -> dict[str, str]:
    """With which a server mirrors this upstream, and forgets failures at once."""
    return {
        **up.settings,
        "MIRROR__REGISTRY__HOSTS": REGISTRY,
        "MIRROR__REGISTRY__ADDRESSES": f"{REGISTRY}={up.url}",
        "MIRROR__REGISTRY__ARCHIVE_HOSTS": up.host,
        "MIRRORS__FAILED_SECONDS": "0",
        "MIRRORS__MISSING_SECONDS": "0",
    }


class Client(Terraform):
    """One person with the block that the documentation hands out: providers by the network mirror, modules by a `host` block."""

    def __init__(self, program: Path, directory: Path, server: Server) -> None:
        super().__init__(program, directory, server)
        modules = services({"modules.v1": f"{server.url}/v1/modules/{REGISTRY}/"}, server.token)
        installation = f'provider_installation {{\n  network_mirror {{\n    url = "{self.mirror}"\n  }}\n}}\n'
        self.configuration.write_text(self.configuration.read_text() + modules + installation)

    @property
    def mirror(self) -> str:
        """The URL of the network mirror."""
        return f"{self.server.url}/v1/providers/"

    def uses_provider(self, version: str = "1.0.0") -> Client:
        """Write a configuration that uses the upstream's provider."""
        self.write(configuration(f"{REGISTRY}/acme/fake", version))
        return self

    def uses_module(self, version: str = "1.0.0", module: str = "acme/pet/null", part: str = "") -> Client:
        """Write a configuration that calls a module of the upstream."""
        self.write(called(version, module, part), "module.tf")
        return self

    def hashes(self) -> tuple[set[str], set[str]]:
        """The `h1:` and the `zh:` hashes of the lock file."""
        locked = (self.directory / LOCK_FILE).read_text()
        return set(re.findall(r'"(h1:[^"]+)"', locked)), set(re.findall(r'"(zh:[^"]+)"', locked))


def services(at: Mapping[str, str], token: str) -> str:
    """The blocks by which terraform finds services of the upstream's registry elsewhere, and shows a token there."""
    lines = "".join(f'    "{service}" = "{url}"\n' for service, url in at.items())
    return f'host "{REGISTRY}" {{\n  services = {{\n{lines}  }}\n}}\ncredentials "{REGISTRY}" {{\n  token = "{token}"\n}}\n'


def called(version: str = "1.0.0", module: str = "acme/pet/null", part: str = "") -> str:
    """A call of a module of the upstream."""
    output = "version" if not part else "small"
    return f"""
module "pet" {{
  source  = "{REGISTRY}/{module}{part}"
  version = "{version}"
}}
output "pet" {{
  value = module.pet.{output}
}}
"""
