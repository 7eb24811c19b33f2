"""Keys that may sign: the first that is seen, and what an operator accepts or removes."""

from __future__ import annotations

import pytest

from terrapod_core.authz import SYSTEM, Authorizer
from terrapod_core.db import Database
from terrapod_core.errors import Invalid, NotFound
from terrapod_core.jsonapi import PageRequest
from terrapod_core.mirrors.documents import AcceptKey
from terrapod_core.mirrors.keys import MirrorKeys, id_of
from terrapod_core.mirrors.upstreams import UpstreamTrouble
from terrapod_core.settings import Mirrors
from terrapod_core.testing import MemoryStorage
from tests.db.mirrors.conftest import FAKE, PLATFORM, Cache, HandMirror, cache_over
from tests.support.releases import Publisher

SCOPE = "registry.test/acme"
OTHER = Publisher("Somebody else <else@example.com>")
THEIRS = OTHER.public.fingerprint.upper()


@pytest.fixture
async def keys(cache: Cache) -> MirrorKeys:
    """After the first version was signed by the first key; what is signed from now on, another key signs."""
    await cache.indexes.of(FAKE)
    await cache.releases.of(FAKE, "1.0.0", PLATFORM)
    cache.mirror.publisher = OTHER
    return MirrorKeys(cache.db, Authorizer(), cache.upstreams)


async def test_a_key_that_is_accepted_signs_from_then_on(cache: Cache, keys: MirrorKeys) -> None:
    with pytest.raises(UpstreamTrouble, match=f"terrapod mirror keys accept {SCOPE} {THEIRS}"):
        await cache.releases.of(FAKE, "1.1.0", PLATFORM)
    (offered,) = await keys.offered(SYSTEM, SCOPE)
    assert (offered.key.fingerprint, offered.key.user, offered.pinned) == (THEIRS, "Somebody else <else@example.com>", False)
    spelled = " ".join(THEIRS.lower()[at : at + 4] for at in range(0, 40, 4))
    accepted = await keys.accept(SYSTEM, AcceptKey(scope="Registry.Test/acme", fingerprint=spelled))
    assert (accepted.scope, accepted.fingerprint, accepted.pinned_by) == (SCOPE, THEIRS, SYSTEM.name)
    assert (await cache.releases.of(FAKE, "1.1.0", PLATFORM)).row.key_id == OTHER.key_id
    assert [each.pinned for each in await keys.offered(SYSTEM, SCOPE)] == [True]
    assert len((await keys.list(SYSTEM, PageRequest())).items) == 2
    again = await keys.accept(SYSTEM, AcceptKey(scope=SCOPE, fingerprint=THEIRS))
    assert again.pinned_at == accepted.pinned_at


async def test_a_key_that_is_removed_signs_nothing_new_and_what_it_signed_stays(cache: Cache, keys: MirrorKeys) -> None:
    await keys.accept(SYSTEM, AcceptKey(scope=SCOPE, fingerprint=THEIRS))
    await cache.releases.of(FAKE, "1.1.0", PLATFORM)
    await keys.remove(SYSTEM, id_of(SCOPE, THEIRS))
    cache.mirror.offered.append("1.2.0")
    with pytest.raises(UpstreamTrouble, match="which registry.test/acme was not seen with before"):
        await cache.releases.of(FAKE, "1.2.0", PLATFORM)
    assert (await cache.releases.of(FAKE, "1.1.0", PLATFORM)).row.key_id == OTHER.key_id
    with pytest.raises(NotFound, match="there is no key"):
        await keys.remove(SYSTEM, id_of(SCOPE, THEIRS))


async def test_a_key_that_its_upstream_does_not_name_is_not_accepted(cache: Cache, keys: MirrorKeys) -> None:
    stranger = Publisher("Stranger <stranger@example.com>").public.fingerprint.upper()
    with pytest.raises(NotFound, match=rf"names no key {stranger} now; it names {THEIRS} \(Somebody else"):
        await keys.accept(SYSTEM, AcceptKey(scope=SCOPE, fingerprint=stranger))
    cache.mirror.named_keys = ["no key at all"]
    assert await keys.offered(SYSTEM, SCOPE) == []


@pytest.mark.parametrize("scope", ["registry.test", "registry.test/a/b", "/acme", "../acme", "registry.test/", "x" * 500, "é/ä", "packer"])
async def test_what_is_no_namespace_is_refused(keys: MirrorKeys, scope: str) -> None:
    with pytest.raises(Invalid, match="write HOST/NAMESPACE, as registry.terraform.io/hashicorp, or terraform or tofu"):
        await keys.offered(SYSTEM, scope)


async def test_a_namespace_that_nobody_asked_for_has_no_key_to_accept(keys: MirrorKeys) -> None:
    with pytest.raises(NotFound, match="nothing of registry.test/other was ever asked for here"):
        await keys.offered(SYSTEM, "registry.test/other")


async def test_a_sealed_server_asks_for_no_keys(db: Database, storage: MemoryStorage, cache: Cache, keys: MirrorKeys) -> None:
    sealed = cache_over(db, storage, HandMirror(), Mirrors(sealed=True))
    with pytest.raises(NotFound, match="is sealed"):
        await MirrorKeys(db, Authorizer(), sealed.upstreams).offered(SYSTEM, SCOPE)
    await sealed.close()
