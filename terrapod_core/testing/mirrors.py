"""Whether a registry mirror keeps its contract."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from terrapod_core.errors import Invalid
from terrapod_core.packages import openpgp
from terrapod_core.plugin import (
    EngineSource,
    HTTPClients,
    ModuleSource,
    OutgoingError,
    Package,
    Platform,
    ProviderSource,
    RegistryMirror,
    Source,
    UpstreamFailed,
    UpstreamMissing,
)
from terrapod_core.settings import Outgoing

NOWHERE = Platform("plan9", "mips")
"""What nobody makes anything for."""

STRANGERS: Sequence[Source] = (
    EngineSource("nothing-of-the-kind"),
    ProviderSource("nobody.invalid", "acme", "fake"),
    ModuleSource("nobody.invalid", "acme", "pet", "null"),
)

Trouble = Callable[[], AbstractContextManager[object]]
"""Something goes wrong with the upstream as long as the block lasts."""


@dataclass(frozen=True)
class Offer:
    """One file that the upstream has."""

    source: Source
    version: str
    platform: Platform | None
    """`None` for a module."""
    content: bytes
    absent: Source | None = None
    """What the mirror serves and the upstream does not have; `None` when there can be none, as for an engine."""
    root: str = ""
    """For a module, as in `Package`."""


def http_clients(ca_file: Path | None = None, proxy: str | None = None) -> HTTPClients:
    """What a mirror or a forge's plugin asks with; `ca_file` has the authority of a local upstream, `proxy` is what all goes through."""
    return HTTPClients(Outgoing(ca_file=ca_file, proxy=proxy))


async def fetched(mirror: RegistryMirror, package: Package) -> bytes:
    """A file in one piece."""
    return b"".join([piece async for piece in mirror.fetch(package)])


@pytest.mark.asyncio
class RegistryMirrorKit:
    """Extend it, and fill the fixtures `mirror`, `offer`, `stopped` and, where files can end early, `cut`."""

    @pytest.fixture
    def mirror(self) -> RegistryMirror:
        """The mirror under test."""
        pytest.fail("give the kit a mirror: override the fixture `mirror`")

    @pytest.fixture
    def offer(self) -> Offer:
        """A file that the upstream has."""
        pytest.fail("give the kit something that the upstream has: override the fixture `offer`")

    @pytest.fixture
    def stopped(self) -> Trouble:
        """Takes the upstream away."""
        pytest.fail("give the kit a way to take the upstream away: override the fixture `stopped`")

    @pytest.fixture
    def cut(self) -> Trouble | None:
        """Lets the connection break within each file; `None` where that cannot be."""
        return None

    # -- what it says without asking

    async def test_it_is_a_registry_mirror_with_a_name(self, mirror: RegistryMirror) -> None:
        assert isinstance(mirror, RegistryMirror)
        assert re.fullmatch(r"[a-z][a-z0-9-]*", mirror.name)

    async def test_it_knows_without_asking_what_it_serves(self, mirror: RegistryMirror, offer: Offer, stopped: Trouble) -> None:
        with stopped():
            assert mirror.serves(offer.source)
            assert not any(mirror.serves(each) for each in STRANGERS)
            assert offer.absent is None or mirror.serves(offer.absent)
            host = getattr(offer.source, "host", None)
            assert host is None or host in mirror.hosts()

    async def test_its_hosts_are_as_in_addresses(self, mirror: RegistryMirror) -> None:
        assert all(re.fullmatch(r"[a-z0-9.-]+(:[0-9]+)?|\[[0-9a-f:]+\](:[0-9]+)?", host) for host in mirror.hosts())
        assert not any(host.endswith(":443") for host in mirror.hosts())

    async def test_its_keys_are_public_keys_in_armour(self, mirror: RegistryMirror, offer: Offer) -> None:
        assert all("BEGIN PGP PUBLIC KEY BLOCK" in key for key in mirror.keys(offer.source))

    # -- the index

    async def test_the_index_names_the_version_once(self, mirror: RegistryMirror, offer: Offer) -> None:
        index = await mirror.index(offer.source, None)
        assert index is not None
        names = [each.version for each in index.versions]
        assert names.count(offer.version) == 1
        assert len(set(names)) == len(names)
        offered = index.versions[names.index(offer.version)]
        assert offered.platforms is None or offer.platform in offered.platforms

    async def test_an_index_that_has_not_changed_is_nothing_new(self, mirror: RegistryMirror, offer: Offer) -> None:
        index = await mirror.index(offer.source, None)
        assert index is not None
        if index.validator is None:
            pytest.skip("its upstream has no validators")
        assert await mirror.index(offer.source, index.validator) is None
        again = await mirror.index(offer.source, '"another"')
        assert again is not None
        assert again.versions == index.versions

    async def test_what_the_upstream_does_not_have_is_missing(self, mirror: RegistryMirror, offer: Offer) -> None:
        if offer.absent is None:
            pytest.skip("there can be none")
        with pytest.raises(UpstreamMissing) as missing:
            await mirror.index(offer.absent, None)
        _check_sentence(missing.value)

    # -- a package

    async def test_a_package_is_told_of(self, mirror: RegistryMirror, offer: Offer) -> None:
        package = await mirror.package(offer.source, offer.version, offer.platform)
        ends = (".zip", ".tar.gz", ".tgz") if isinstance(offer.source, ModuleSource) else (".zip",)
        assert package.filename.endswith(ends)
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+~-]*", package.filename)
        assert package.root == offer.root
        assert "@" not in urlsplit(package.location).netloc
        assert package.location

    async def test_what_is_said_of_a_file_is_true(self, mirror: RegistryMirror, offer: Offer) -> None:
        package = await mirror.package(offer.source, offer.version, offer.platform)
        digest = hashlib.sha256(offer.content).hexdigest()
        assert package.sha256 in (None, digest)
        if isinstance(offer.source, ModuleSource):
            assert package.sums is None
            return
        if package.sums is None:
            assert not mirror.keys(offer.source), "there is a key, and nothing that it signed"
            return
        lines = [line.split() for line in package.sums.document.decode("ascii").splitlines()]
        assert [digest, package.filename] in lines
        keys = mirror.keys(offer.source) or package.sums.keys
        assert any(_is_signed(package, key) for key in keys)

    async def test_a_version_that_is_not_there_is_missing(self, mirror: RegistryMirror, offer: Offer) -> None:
        for version in ("99.98.97", "0.0.0-none"):
            with pytest.raises(UpstreamMissing) as missing:
                await mirror.package(offer.source, version, offer.platform)
            _check_sentence(missing.value)

    async def test_a_platform_that_is_not_there_is_missing(self, mirror: RegistryMirror, offer: Offer) -> None:
        if offer.platform is None:
            pytest.skip("modules have none")
        with pytest.raises(UpstreamMissing) as missing:
            await mirror.package(offer.source, offer.version, NOWHERE)
        _check_sentence(missing.value)

    @pytest.mark.parametrize("version", ["../1.0.0", "1.0.0/../..", "", "1.0.0?x=1", "1.0.0#x", "%2e%2e", "1.0.0\r\nX: y"])
    async def test_a_version_that_is_none_leads_nowhere(self, mirror: RegistryMirror, offer: Offer, version: str) -> None:
        with pytest.raises(UpstreamMissing):
            await mirror.package(offer.source, version, offer.platform)

    # -- bytes

    async def test_a_file_comes_as_it_is_any_number_of_times(self, mirror: RegistryMirror, offer: Offer) -> None:
        package = await mirror.package(offer.source, offer.version, offer.platform)
        assert await fetched(mirror, package) == offer.content
        assert await asyncio.gather(*(fetched(mirror, package) for _ in range(4))) == [offer.content] * 4

    async def test_a_file_may_be_left_before_its_end(self, mirror: RegistryMirror, offer: Offer) -> None:
        package = await mirror.package(offer.source, offer.version, offer.platform)
        pieces = mirror.fetch(package)
        assert await anext(pieces)
        await pieces.aclose()  # type: ignore[attr-defined]
        assert await fetched(mirror, package) == offer.content

    # -- bad days

    async def test_an_upstream_that_is_away_has_failed_and_is_named(self, mirror: RegistryMirror, offer: Offer, stopped: Trouble) -> None:
        package = await mirror.package(offer.source, offer.version, offer.platform)
        with stopped():
            for ask in (
                lambda: mirror.index(offer.source, None),
                lambda: mirror.package(offer.source, offer.version, offer.platform),
                lambda: fetched(mirror, package),
            ):
                with pytest.raises((UpstreamFailed, OutgoingError)) as failed:
                    await ask()
                assert ":" in str(failed.value), "the host, and the reason"
        assert await fetched(mirror, package) == offer.content

    async def test_a_file_that_ends_early_has_failed(self, mirror: RegistryMirror, offer: Offer, cut: Trouble | None) -> None:
        if cut is None:
            pytest.skip("its files do not end early")
        package = await mirror.package(offer.source, offer.version, offer.platform)
        with cut(), pytest.raises((UpstreamFailed, OutgoingError)):
            await fetched(mirror, package)
        assert await fetched(mirror, package) == offer.content


def _check_sentence(missing: UpstreamMissing) -> None:
    text = str(missing)
    assert " " in text
    assert text.endswith("."), "a sentence for the person who asked"


def _is_signed(package: Package, key: str) -> bool:
    assert package.sums is not None
    try:
        openpgp.verify(package.sums.document, package.sums.signature, key, datetime.now(UTC))
    except Invalid:
        return False
    return True
