"""The directories of a phase, and the configuration made ready for our backend and nobody else's."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from .beneath import read_beneath
from .failures import PhaseFailed
from .order import EngineAccess, Variable

SUFFIXES = (".tf", ".tf.json", ".tofu", ".tofu.json")
OVERRIDE = "zzzz_terrapod_override.tf"
UNDELIVERED = "undelivered.tfstate"
LOCK_FILE = ".terraform.lock.hcl"

VENDORED = Path("terraform.d/plugins")
"""Where a configuration may bring providers, if its workspace lets it (terraform's own name for such a directory)."""

SERVICES = {
    **dict.fromkeys(("tfe.v2", "tfe.v2.1", "tfe.v2.2", "state.v2"), "/api/v2/"),
    "modules.v1": "/api/v2/registry/modules/",
    "providers.v1": "/api/v2/registry/providers/",
}
"""What terraform asks a server for, as its discovery document says: the cloud block, the backend `remote`, its provider, the registry."""

MIRRORS = {"providers.v1": "/v1/providers/", "modules.v1": "/v1/modules/"}
"""Where the server has what others publish; the host of their registry follows."""

_ADDRESS_PART = re.compile(r"[\w.-]+(:\d+)?")
_IDENTIFIER = re.compile(r"[^\W\d][\w-]*")


@dataclass(frozen=True)
class Layout:
    """Paths under the work directory; the configuration lies at the same place in plan and apply (`path.cwd` is in the plan).

    `inside` is where a sandbox shows them to the engine; `None`: the engine sees them where they are.
    """

    root: Path
    inside: Path | None = None

    def seen(self, path: Path) -> Path:
        """A path below the work directory as the engine sees it."""
        return path if self.inside is None else self.inside / path.relative_to(self.root)

    @property
    def configuration(self) -> Path:
        """The unpacked archive."""
        return self.root / "config"

    @property
    def phase(self) -> Path:
        """Everything of ours, out of the configuration's reach."""
        return self.root / "phase"

    @property
    def given(self) -> Path:
        """What the engine reads beside the configuration: secrets of the workspace, its own token."""
        return self.root / "given"

    @property
    def engine(self) -> Path:
        """Where the engine writes beside the configuration. What lies here may have been put there by anything it runs."""
        return self.root / "engine"

    @property
    def temporary(self) -> Path:
        """`/tmp` of a sandbox."""
        return self.root / "tmp"

    @property
    def shared_memory(self) -> Path:
        """`/dev/shm` of a sandbox."""
        return self.root / "shm"

    @property
    def cli_config(self) -> Path:
        return self.phase / "terraform.rc"

    @property
    def accounts(self) -> dict[str, Path]:
        """The `/etc/passwd` and `/etc/group` of a sandbox."""
        return {f"/etc/{name}": self.phase / name for name in ("passwd", "group")}

    @property
    def engine_config(self) -> Path:
        """The same with the engine's token, for the commands that carry out the configuration."""
        return self.given / "engine.rc"

    @property
    def trust(self) -> Path:
        """A directory with the server's own certificate, when it is of no public authority."""
        return self.given / "trust"

    @property
    def home(self) -> Path:
        """The engine's HOME."""
        return self.engine / "home"

    @property
    def planned(self) -> Path:
        """Where the engine writes its plan."""
        return self.engine / "saved.tfplan"

    @property
    def plan_file(self) -> Path:
        """Our copy of it, which nothing changes any more."""
        return self.phase / "saved.tfplan"

    @property
    def generated(self) -> Path:
        return self.engine / "generated.tf"

    @property
    def states(self) -> Path:
        return self.phase / "states"

    def create(self) -> None:
        """Make the directories anew; what an earlier phase left is removed."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        ours = (self.phase, self.given, self.engine, self.temporary, self.shared_memory)
        for directory in (self.configuration, *ours):
            remove(directory)
        for directory in (*ours, self.home, self.states):
            directory.mkdir(mode=0o700)

    def clear(self) -> None:
        """Remove everything but state that could not be delivered: configuration, plan and variables are secrets."""
        for entry in self.root.iterdir():
            if entry.name != UNDELIVERED:
                remove(entry)


def cli_config(vendored: Path | None = None, addresses: Iterable[str] = ()) -> str:
    """The engine's CLI configuration. Where providers come from is always said out loud: then no directory of the configuration
    is taken for a source of them, but `vendored`, a path as the engine sees it, for the providers of these addresses.
    """
    listed = f"[{', '.join(map(quoted, addresses))}]"
    mirror = f"  filesystem_mirror {{\n    path = {quoted(str(vendored))}\n    include = {listed}\n  }}\n" if vendored else ""
    direct = f"  direct {{\n    exclude = {listed}\n  }}\n" if vendored else "  direct {}\n"
    return f"disable_checkpoint = true\n\nprovider_installation {{\n{mirror}{direct}}}\n"


def vendored_addresses(place: Path) -> list[str]:
    """The providers that the configuration brings in `terraform.d/plugins`: directories `<host>/<namespace>/<type>`."""
    found = (path.relative_to(place / VENDORED).parts for path in sorted((place / VENDORED).glob("*/*/*")) if path.is_dir())
    return ["/".join(parts) for parts in found if all(map(_ADDRESS_PART.fullmatch, parts))]


def write_engine_config(path: Path, config: str, access: EngineAccess, mirrored: Iterable[str] = (), server: str = "") -> None:
    """Write the CLI configuration with which the engine may read state from the server, by any of the server's names, and gets the
    providers and modules of the registries `mirrored` at `server`, the address of the server for that.

    Not by an environment variable: its name could hold no port, and every program that the engine starts would inherit it.
    """
    blocks = [config]
    for host, base in access.hosts.items():
        blocks.append(_credentials_block(host, access.token))
        if base is not None:
            blocks.append(_host_block(host, {service: base + path for service, path in SERVICES.items()}))
    for host in mirrored:
        if host not in access.hosts:
            # terraform shows the token of the host that a source names, wherever its services are.
            blocks.append(_credentials_block(host, access.token))
            blocks.append(_host_block(host, {service: f"{server}{path}{host}/" for service, path in MIRRORS.items()}))
    write_new(path, "\n".join(blocks))


def _credentials_block(host: str, token: str) -> str:
    return f"credentials {quoted(host)} {{\n  token = {quoted(token)}\n}}\n"


def _host_block(host: str, services: Mapping[str, str]) -> str:
    lines = "".join(f"    {quoted(service)} = {quoted(url)}\n" for service, url in services.items())
    return f"host {quoted(host)} {{\n  services = {{\n{lines}  }}\n}}\n"


def remove(path: Path) -> None:
    """Remove a file, link or tree; nothing when it is not there."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path, ignore_errors=True)


def write_new(path: Path, text: str) -> None:
    """Write a file of ours, 0600, that must not be there yet, not even as a link."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


def enter(configuration: Path, working_directory: str) -> Path:
    """The directory the engine runs in, symbolic links resolved. Raises `PhaseFailed` when it is outside or holds no configuration."""
    root = Path(os.path.realpath(configuration))
    place = Path(os.path.realpath(root / working_directory))
    shown = working_directory or "."
    if place != root and root not in place.parents:
        raise PhaseFailed(f"The working directory `{shown}` is outside of the configuration.")
    if not place.is_dir():
        raise PhaseFailed(f"The working directory `{shown}` does not exist in the configuration.")
    if not any(_is_configuration(entry) for entry in place.iterdir()):
        # With our override alone in it the engine would happily plan to destroy everything in the state.
        raise PhaseFailed(f"The working directory `{shown}` holds no Terraform configuration (no *.tf or *.tf.json file).")
    return place


def _is_configuration(entry: Path) -> bool:
    return entry.name.endswith(SUFFIXES) and not entry.name.startswith((".", "#")) and entry.is_file()


def clean(place: Path) -> None:
    """Remove what would be taken for state, a backend or a provider of this run: only `.terraform/modules` stays."""
    for entry in place.iterdir():
        if ".tfstate" in entry.name and not entry.name.endswith(SUFFIXES):
            remove(entry)
    data = place / ".terraform"
    if data.is_symlink() or data.is_file():
        data.unlink()
    elif data.is_dir():
        for entry in data.iterdir():
            if entry.name != "modules":
                remove(entry)


def override_name(names: Iterable[str]) -> str:
    """A name for our override file that sorts, by its bytes, after every override among `names`: the last one wins."""
    overrides = sorted((os.fsencode(name) for name in names if _is_override(name)), reverse=True)
    if not overrides or overrides[0] < os.fsencode(OVERRIDE):
        return OVERRIDE
    last = os.fsdecode(overrides[0])
    name = last[: last.rindex("override.")].removesuffix("_") + "z_override.tf"
    if len(os.fsencode(name)) > 255:
        raise PhaseFailed(f"The override file `{last[:60]}…` has a name so long that none can follow it: rename it.")
    return name


def _is_override(name: str) -> bool:
    stem = next((name.removesuffix(suffix) for suffix in sorted(SUFFIXES, key=len, reverse=True) if name.endswith(suffix)), None)
    return stem is not None and (stem == "override" or stem.endswith("_override"))


def write_override(place: Path, state_file: Path | None) -> None:
    """Put our backend in the place of the configuration's: HTTP (its address comes by environment), or a state file."""
    backend = 'backend "http" {}' if state_file is None else f'backend "local" {{\n    path = {quoted(str(state_file))}\n  }}'
    try:
        write_new(place / override_name(entry.name for entry in place.iterdir()), f"terraform {{\n  {backend}\n}}\n")
    except OSError as error:
        raise PhaseFailed(f"The backend's override file cannot be written into the configuration: {error.strerror}.") from error


def check_backend(place: Path, expected: str) -> None:
    """After `init`: raise `PhaseFailed` unless the engine took our backend and not one of the configuration."""
    try:
        backend = json.loads(read_beneath(place, Path(".terraform/terraform.tfstate")))["backend"]["type"]
    except (OSError, ValueError, KeyError, TypeError):
        backend = None
    if backend != expected:
        raise PhaseFailed(f"The configuration did not take the runner's backend but `{backend}`: nothing was run.")


def write_variables(directory: Path, variables: Iterable[Variable]) -> tuple[Path, ...]:
    """Write var files outside of the configuration, which beat everything inside; texts literally, expressions as they are."""
    texts: dict[str, str] = {}
    expressions: list[str] = []
    for variable in variables:
        if not _IDENTIFIER.fullmatch(variable.key):
            raise PhaseFailed(f"`{variable.key}` cannot be the name of a Terraform variable.")
        if variable.hcl:
            # In parentheses an expression may span lines, and nothing after it can become another variable by accident.
            expressions.append(f"{variable.key} = (\n{variable.value}\n)\n")
        else:
            texts[variable.key] = variable.value
    written = []
    if texts:
        written.append(directory / "workspace.tfvars.json")
        write_new(written[-1], json.dumps(texts))
    if expressions:
        written.append(directory / "workspace.tfvars")
        write_new(written[-1], "".join(expressions))
    return tuple(written)


def quoted(text: str) -> str:
    """An HCL string literal."""
    return json.dumps(text, ensure_ascii=False).replace("${", "$${").replace("%{", "%%{")
