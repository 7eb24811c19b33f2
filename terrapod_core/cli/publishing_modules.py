"""A version of a module, from a directory to the registry."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import click

from terrapod_core.cli.api import API, Refused
from terrapod_core.cli.archives import bytes_shown
from terrapod_core.cli.common import UsageProblem
from terrapod_core.cli.uploading import eventually, say, upload
from terrapod_core.registry.contents.packing import pack, packable
from terrapod_core.registry.contents.structs import ModuleContents
from terrapod_core.registry.contents.tree import read
from terrapod_core.registry.contents.understanding import understand
from terrapod_core.registry.contents.usage import block
from terrapod_core.tarballs import ArchiveLimits

ORG: Final = "organizations/default"
DEFAULT_NAMESPACE: Final = "default"
PIECE: Final = 1 << 20
_DIRECTORY: Final = re.compile(r"terraform-(?P<provider>[0-9a-z]+)-(?P<name>.+)")
_STATES: Final = re.compile(r"(^|/)terraform\.tfstate(\.|$)|\.tfstate$")


@dataclass(frozen=True)
class Address:
    """What a module is called in a registry."""

    namespace: str
    name: str
    provider: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}/{self.provider}"


def address_of(given: str | None, path: Path) -> Address:
    """The address that is given, or that the directory's name says. Raises `UsageProblem`."""
    if given is not None:
        parts = given.split("/")
        if len(parts) not in (2, 3) or not all(parts):
            raise UsageProblem(f"--name {given}: write NAME/PROVIDER as vpc/aws, or NAMESPACE/NAME/PROVIDER")
        return Address(*parts) if len(parts) == 3 else Address(DEFAULT_NAMESPACE, *parts)
    match = _DIRECTORY.fullmatch(path.resolve().name)
    if path.is_file() or match is None:
        raise UsageProblem(
            f"say what the module is called: --name NAME/PROVIDER, as vpc/aws ({path} is not called terraform-PROVIDER-NAME)"
        )
    return Address(DEFAULT_NAMESPACE, match["name"], match["provider"])


@dataclass(frozen=True)
class Packed:
    """The archive of a module, and what is in it."""

    file: Path
    sha256: str
    contents: ModuleContents


@contextmanager
def packed(path: Path, *, quiet: bool) -> Iterator[Packed]:
    """The archive of this directory, or the one that is there already. Raises `Invalid` for what is no module."""
    if path.is_file():
        yield _looked_through(path)
        return
    with tempfile.TemporaryDirectory(prefix="terrapod-") as room:
        file = Path(room) / "module.tar.gz"
        files = packable(path)
        for each in files:
            if _STATES.search(each.path):
                click.echo(
                    f"note: {each.path} is packed, a state with all its values; name it in .terraformignore to leave it out", err=True
                )
        with bytes_shown(quiet, f"packing {len(files)} files") as (bars, bar), file.open("wb") as into:
            bars.update(bar, total=sum(each.size for each in files))
            pack(files, into, partial(bars.advance, bar))
        yield _looked_through(file)


def _looked_through(file: Path) -> Packed:
    """By the rules that the server has, so that what it would refuse is said before anything is made there."""
    with file.open("rb") as archive:
        contents = understand(read(archive, ArchiveLimits()))
        archive.seek(0)
        digest = hashlib.file_digest(archive, "sha256")
    for problem in contents.problems:
        click.echo(f"note: {problem.file}: {problem.detail}", err=True)
    return Packed(file, digest.hexdigest(), contents)


async def publish_module(api: API, address: Address, number: str, module: Packed, *, quiet: bool) -> str:
    """Make what is not there yet, upload, wait until terraform is told of the version, and say how it is used."""
    path = f"{ORG}/registry-modules/{address}"
    if await api.find(path) is None:
        await api.post(
            f"{ORG}/registry-modules", "registry-modules", name=address.name, provider=address.provider, namespace=address.namespace
        )
        say(quiet, f"made the module {address}")
    version = await _version(api, path, number)
    link = version["links"].get("upload")
    if link is None and version["attributes"].get("sha256") != module.sha256:
        raise Refused(
            409,
            f"version {number} of {address} is there, with another archive or by somebody else; publish the next version",
            "version_exists",
        )
    if link is not None:
        await upload(api, link, module.file, f"{address} {number}", quiet=quiet)
        version = (await api.get(f"{path}/{number}"))["data"]
    if version["attributes"].get("held"):
        say(quiet, f"{address} {number} is uploaded, and held until one of the module's publishers releases it")
    else:
        await eventually(lambda: _is_listed(api, address, number), f"{address} {number} to be listed")
        say(quiet, f"published {address} {number}")
    return block(_label(address), f"{api.where.host}/{address}", number, module.contents.module.inputs, {})


async def _version(api: API, path: str, number: str) -> dict[str, Any]:
    """The version, made now, or begun before by the same user."""
    version = await api.make(f"{path}/versions", f"{path}/{number}", "registry-module-versions", version=number)
    return {"links": {}} | version


async def _is_listed(api: API, address: Address, number: str) -> bool:
    modules = (await api.get(f"registry/modules/{address}/versions"))["modules"]
    return any(each["version"] == number for each in modules[0]["versions"])


def _label(address: Address) -> str:
    return re.sub(r"^(?=[0-9])", "_", address.name)
