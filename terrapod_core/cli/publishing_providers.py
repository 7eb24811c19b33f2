"""A version of a provider, from a directory of release files to the registry."""

from __future__ import annotations

import asyncio
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from terrapod_core.cli.api import API, Refused
from terrapod_core.cli.common import UsageProblem
from terrapod_core.cli.uploading import eventually, say, upload
from terrapod_core.registry.contents.usage import requirement

ORG: Final = "organizations/default"
_ZIP: Final = re.compile(r"terraform-provider-(?P<name>[0-9a-z-]+)_(?P<version>[0-9][^_]*)_(?P<os>[0-9a-z]+)_(?P<arch>[0-9a-z]+)\.zip")


@dataclass(frozen=True)
class Zip:
    """The provider for one platform."""

    file: Path
    os: str
    arch: str


@dataclass(frozen=True)
class Release:
    """The files of one version."""

    name: str
    version: str
    zips: list[Zip]
    sums: Path | None
    signature: Path | None
    """`None` for both: the server is to sign."""
    protocols: list[str] | None
    """What the manifest says; `None` without one."""


class _Metadata(msgspec.Struct):
    protocol_versions: list[str]


class _Manifest(msgspec.Struct):
    metadata: _Metadata


def release_in(directory: Path, number: str | None) -> Release:
    """The release whose files lie in a directory. Raises `UsageProblem` when there is none, more than one, or half a signature."""
    found: dict[tuple[str, str], list[Zip]] = {}
    for file in sorted(directory.iterdir()):
        if (match := _ZIP.fullmatch(file.name)) and number in (None, match["version"]):
            found.setdefault((match["name"], match["version"]), []).append(Zip(file, match["os"], match["arch"]))
    if len(found) != 1:
        versions = ", ".join(f"{name} {version}" for name, version in found)
        raise UsageProblem(
            f"{directory} holds several releases, {versions}: choose one with --version"
            if found
            else f"{directory} holds no zip called terraform-provider-NAME_{number or 'VERSION'}_OS_ARCH.zip"
        )
    [((name, version), zips)] = found.items()
    stem = directory / f"terraform-provider-{name}_{version}"
    sums, signature = Path(f"{stem}_SHA256SUMS"), Path(f"{stem}_SHA256SUMS.sig")
    if sums.is_file() != signature.is_file():
        missing = signature if sums.is_file() else sums
        raise UsageProblem(f"{missing} is missing: a release has both the sums and their signature, or, for the server to sign it, neither")
    signed = sums.is_file()
    return Release(name, version, zips, sums if signed else None, signature if signed else None, _protocols(Path(f"{stem}_manifest.json")))


def _protocols(manifest: Path) -> list[str] | None:
    if not manifest.is_file():
        return None
    try:
        return msgspec.json.decode(manifest.read_bytes(), type=_Manifest).metadata.protocol_versions
    except msgspec.DecodeError as error:
        raise UsageProblem(f"{manifest} is no manifest of a provider: {error}") from None


async def publish_provider(api: API, namespace: str, release: Release, key_id: str | None, *, quiet: bool) -> str:
    """Make what is not there yet, upload, wait until terraform is told of the version, and say how it is required."""
    name = f"{namespace}/{release.name}"
    path = f"{ORG}/registry-providers/{name}"
    if await api.find(path) is None:
        await api.post(f"{ORG}/registry-providers", "registry-providers", name=release.name, namespace=namespace)
        say(quiet, f"made the provider {name}")
    version = await api.make(
        f"{path}/versions",
        f"{path}/versions/{release.version}",
        "registry-provider-versions",
        version=release.version,
        key_id=await _key(api, namespace, release, key_id),
        protocols=release.protocols,
    )
    if version["attributes"]["status"] != "published":
        await _upload_all(api, f"{path}/versions/{release.version}", version, release, quiet=quiet)
        version = (await api.get(f"{path}/versions/{release.version}"))["data"]
    await _check_same(api, f"{path}/versions/{release.version}", release)
    if version["attributes"]["status"] == "held":
        say(quiet, f"{name} {release.version} is uploaded, and held until one of the provider's publishers releases it")
    else:
        await eventually(lambda: _is_listed(api, name, release.version), f"{name} {release.version} to be listed")
        say(quiet, f"published {name} {release.version}, signed by {'the server' if release.sums is None else 'its publisher'}")
    return requirement(release.name, f"{api.where.host}/{name}", release.version)


async def _key(api: API, namespace: str, release: Release, given: str | None) -> str | None:
    """The id of the key that signed the sums; `None` when the server is to sign."""
    if release.sums is None:
        if given is not None:
            raise UsageProblem(f"--key-id is of no use without {release.name}_{release.version}'s SHA256SUMS and its signature")
        return None
    if given is not None:
        return given
    keys = (await api.get(f"{api.where.url}/api/registry/private/v2/gpg-keys?filter[namespace]={namespace}"))["data"]
    if len(keys) != 1:
        known = ", ".join(sorted(key["attributes"]["key-id"] for key in keys)) or "none"
        raise UsageProblem(f"say which key signed the release, with --key-id: the namespace {namespace} has {known}")
    return str(keys[0]["attributes"]["key-id"])


async def _upload_all(api: API, path: str, version: dict[str, Any], release: Release, *, quiet: bool) -> None:
    """Everything that is not there yet; a version that was begun before goes on."""
    for link, file in (("shasums-upload", release.sums), ("shasums-sig-upload", release.signature)):
        if file is not None and link in version["links"]:
            await upload(api, version["links"][link], file, file.name, quiet=quiet)
    for each in release.zips:
        platform = await _platform(api, path, each)
        if not platform["attributes"]["provider-binary-uploaded"]:
            link = platform["links"].get("provider-binary-upload")
            if link is None:
                raise click.ClickException(f"{each.file.name} cannot be uploaded by you: somebody else has begun this version")
            await upload(api, link, each.file, each.file.name, quiet=quiet)
    if release.sums is None:
        await api.post(f"{path}/actions/publish")


async def _platform(api: API, path: str, each: Zip) -> dict[str, Any]:
    return await api.make(
        f"{path}/platforms",
        f"{path}/platforms/{each.os}/{each.arch}",
        "registry-provider-platforms",
        os=each.os,
        arch=each.arch,
        shasum=await asyncio.to_thread(_sha256, each.file),
        filename=each.file.name,
    )


async def _check_same(api: API, path: str, release: Release) -> None:
    """Raise `Refused` when the registry has other bytes for a platform than the directory: the version was published before."""
    for each in release.zips:
        platform = await api.find(f"{path}/platforms/{each.os}/{each.arch}")
        if platform is None or platform["data"]["attributes"]["shasum"] != await asyncio.to_thread(_sha256, each.file):
            raise Refused(
                409,
                f"version {release.version} is there already, and without this {each.file.name}; publish the next version",
                "version_exists",
            )


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


async def _is_listed(api: API, name: str, version: str) -> bool:
    return any(each["version"] == version for each in (await api.get(f"registry/providers/{name}/versions"))["versions"])
