"""Who may do what to providers and keys, versions that are held, deprecated and revoked, and what stays when they are deleted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from terrapod_core.plugin.events import UserDeleted
from terrapod_core.storage.check import Finding, StorageCheck
from terrapod_core.storage.discards import remove_discarded
from tests.db.registry.providers.conftest import FAKE, PROVIDERS, Registry
from tests.support.releases import LINUX, Publisher, Release
from tests.support.wire import document, ref

ONE = Release.made("fake", "1.0.0")
TWO = Release.made("fake", "2.0.0")


async def test_a_name_is_given_by_admins_and_by_roles_that_allow_it(registry: Registry) -> None:
    assert (await registry.provider(who="bob")).status == 403
    await registry.role("bob", "write", "fake")
    assert (await registry.provider(who="bob")).status == 403
    await registry.role("carol", "admin", "fake")
    made = await registry.provider(who="carol")
    assert (made.status, made.body["data"]["relationships"]["owner"]["data"]["id"]) == (201, await registry.user("carol"))
    assert (await registry.provider("other", who="carol")).status == 403
    assert (await registry.provider(who="root")).code == "name_taken"


async def test_who_may_not_read_a_provider_learns_nothing_of_it(registry: Registry) -> None:
    await registry.provider()
    await registry.unsigned(ONE)
    for method, path in (
        ("GET", FAKE),
        ("PATCH", FAKE),
        ("DELETE", FAKE),
        ("GET", f"{FAKE}/versions"),
        ("POST", f"{FAKE}/versions"),
        ("GET", f"{FAKE}/versions/1.0.0"),
        ("DELETE", f"{FAKE}/versions/1.0.0"),
        ("POST", f"{FAKE}/versions/1.0.0/actions/publish"),
        ("POST", f"{FAKE}/versions/1.0.0/actions/release"),
        ("GET", f"{FAKE}/versions/1.0.0/platforms"),
        ("GET", f"{FAKE}/versions/1.0.0/platforms/linux/amd64"),
        ("GET", "registry/providers/default/fake/versions"),
        ("GET", "registry/providers/default/fake/1.0.0/download/linux/amd64"),
    ):
        sent = document("", version="9.9.9") if method in ("POST", "PATCH") else None
        assert (await registry.ask("bob", method, path, sent)).status == 404, (method, path)
    assert (await registry.ask("bob", "GET", PROVIDERS)).body["data"] == []


async def test_who_reads_may_not_publish_and_who_publishes_may_not_revoke(registry: Registry) -> None:
    await registry.provider()
    await registry.unsigned(ONE)
    await registry.role("bob", "read", "fake")
    await registry.role("carol", "write", "fake")
    assert (await registry.version("2.0.0", "bob")).status == 403
    assert (await registry.ask("bob", "GET", FAKE)).attributes["permissions"] == {
        "can-delete": False,
        "can-update": False,
        "can-publish": False,
    }
    deprecate = document("registry-provider-versions", deprecation={"reason": "old"})
    revoke = document("registry-provider-versions", revocation={"reason": "leaks"})
    assert (await registry.ask("bob", "PATCH", f"{FAKE}/versions/1.0.0", deprecate)).status == 403
    assert (await registry.ask("carol", "PATCH", f"{FAKE}/versions/1.0.0", deprecate)).status == 200
    assert (await registry.ask("carol", "PATCH", f"{FAKE}/versions/1.0.0", revoke)).status == 403
    assert (await registry.ask("carol", "DELETE", f"{FAKE}/versions/1.0.0")).status == 403
    assert (await registry.key("fake", who="carol")).status == 403
    assert (await registry.key("fake", who="bob")).status == 403


async def test_a_version_of_somebody_who_is_no_publisher_waits_for_one(registry: Registry) -> None:
    await registry.provider(labels={"access": "everyone"})
    await registry.role("carol", "write", "fake")
    held = await registry.unsigned(ONE, "carol")
    assert (held.status, held.attributes["status"]) == (200, "held")
    assert await registry.listed() == []
    assert (await registry.found("1.0.0")).status == 404
    assert (await registry.shown("1.0.0", "bob")).status == 404
    release = f"{FAKE}/versions/1.0.0/actions/release"
    assert (await registry.ask("carol", "POST", release)).code == "publisher_needed"
    assert (await registry.ask("root", "POST", release)).attributes["status"] == "published"
    assert await registry.listed("bob") == ["1.0.0"]
    (told,) = await registry.audited("registry-provider-version.release")
    assert told["made_by"] == "carol@example.com"
    sent = document("registry-providers", {"publishers": [ref("users", await registry.user("carol"))]})
    assert (await registry.ask("root", "PATCH", FAKE, sent)).status == 200
    assert (await registry.unsigned(TWO, "carol")).attributes["status"] == "published"


async def test_nobody_adds_to_a_version_that_somebody_else_made(registry: Registry) -> None:
    await registry.provider()
    await registry.role("carol", "write", "fake")
    await registry.version("1.0.0")
    mine = await registry.platform(ONE, LINUX)
    assert (await registry.platform(ONE, ("linux", "amd64"), "carol")).code == "maker_needed"
    shown = await registry.ask("carol", "GET", f"{FAKE}/versions/1.0.0/platforms/linux/amd64")
    assert set(shown.body["data"]["links"]) == {"self"}
    assert (await registry.put(mine, "provider-binary-upload", ONE.zips[LINUX])).status == 200
    assert (await registry.ask("carol", "POST", f"{FAKE}/versions/1.0.0/actions/publish")).code == "maker_needed"
    assert (await registry.ask("carol", "DELETE", f"{FAKE}/versions/1.0.0")).status == 204


async def test_who_may_not_publish_any_more_adds_nothing_by_a_link_that_was_given(registry: Registry) -> None:
    await registry.provider()
    await registry.role("carol", "write", "fake")
    await registry.version("1.0.0", "carol")
    announced = await registry.platform(ONE, LINUX, "carol")
    assert (await registry.ask("root", "DELETE", "role-assignments/local/carol@example.com/carol-write-1")).status == 204
    refused = await registry.put(announced, "provider-binary-upload", ONE.zips[LINUX])
    assert (refused.status, "may not publish it any more" in refused.body["errors"][0]["detail"]) == (403, True)
    assert await registry.stored() == 0


async def test_a_deprecated_version_comes_with_a_warning_and_a_revoked_one_not_at_all(registry: Registry) -> None:
    await registry.provider()
    for release in (ONE, TWO):
        await registry.unsigned(release)
    versions = "registry/providers/default/fake/versions"
    old = document("", deprecation={"deprecated-status": "Deprecated", "reason": "use 2", "link": "https://example.com/why"})
    shown = await registry.ask("root", "PATCH", f"{FAKE}/versions/1.0.0", old)
    assert shown.attributes["deprecation"]["reason"] == "use 2"
    at = registry.site.clock.now().strftime("%Y-%m-%d")
    warning = f"default/fake 1.0.0 is deprecated since {at}: use 2 (https://example.com/why)"
    assert (await registry.ask("root", "GET", versions)).body["warnings"] == [warning]
    assert (await registry.found("1.0.0")).status == 200
    before = (await registry.found("2.0.0")).body
    revoked = await registry.ask("root", "PATCH", f"{FAKE}/versions/2.0.0", document("", revocation={"reason": "It leaks tokens."}))
    assert revoked.attributes["revocation"]["revoked-status"] == "Revoked"
    told = (await registry.ask("root", "GET", versions)).body
    assert [each["version"] for each in told["versions"]] == ["1.0.0"]
    assert told["warnings"] == [f"default/fake 2.0.0 was revoked since {at}: It leaks tokens.", warning]
    refused = await registry.found("2.0.0")
    assert (refused.status, refused.code) == (410, "version_revoked")
    assert "It leaks tokens. The newest version that is not revoked is 1.0.0" in refused.body["errors"][0]["detail"]
    for link in ("download_url", "shasums_url", "shasums_signature_url"):
        assert (await registry.get(before[link]))[0] == 410
    assert (await registry.ask("root", "PATCH", f"{FAKE}/versions/2.0.0", document("", revocation=None))).status == 200
    assert await registry.listed() == ["2.0.0", "1.0.0"]


async def test_what_is_deleted_lets_go_of_its_bytes_and_its_number_and_name_stay_taken(registry: Registry) -> None:
    await registry.provider()
    for release in (ONE, TWO):
        await registry.unsigned(release)
    assert (await registry.ask("root", "DELETE", f"{FAKE}/versions/1.0.0")).status == 204
    assert await registry.listed() == ["2.0.0"]
    assert (await registry.version("1.0.0")).code == "number_burnt"
    assert (await registry.version("1.0.0+again")).code == "number_burnt"
    assert (await registry.version("3.0.0")).status == 201
    assert (await registry.ask("root", "DELETE", f"{FAKE}/versions/3.0.0")).status == 204
    assert (await registry.version("3.0.0")).status == 201, "what nobody saw was never taken"
    assert (await registry.ask("root", "DELETE", FAKE)).status == 204
    assert (await registry.provider()).code == "name_burnt"
    assert await registry.rows() == (0, 0, 0, 0, 2)
    terrapod = registry.site.terrapod
    await remove_discarded(terrapod.db, terrapod.objects)
    assert await registry.stored() == 0


async def test_a_check_of_the_store_knows_the_zips(registry: Registry) -> None:
    await registry.provider()
    await registry.unsigned(ONE)
    terrapod = registry.site.terrapod

    async def findings() -> list[Finding]:
        check = StorageCheck(terrapod.db, terrapod.storage_backend, terrapod.objects, lambda _what, _count: None)
        return [each async for each in check.run(deep=True)]

    assert await findings() == []
    (key,) = [info.key async for info in terrapod.storage_backend.list("archives/providers/")]
    await terrapod.storage_backend.delete(key)
    (gap,) = await findings()
    assert (getattr(gap, "kind", None), getattr(gap, "key", None)) == ("providers", key)


async def test_a_key_of_a_whole_namespace_is_an_admins_affair(registry: Registry) -> None:
    await registry.provider()
    await registry.role("carol", "admin", "*")
    assert (await registry.key(who="carol")).status == 403
    made = await registry.key()
    assert (made.status, made.attributes["whole-namespace"], made.attributes["providers"]) == (201, True, [])
    assert (await registry.key("fake", who="carol")).code == "key_exists"
    assert (await registry.version("1.0.0", key_id=made.attributes["key-id"])).status == 201
    assert (await registry.keys("carol", "DELETE", f"/default/{made.attributes['key-id']}")).status == 403
    assert (await registry.keys("bob", "GET", f"/default/{made.attributes['key-id']}")).attributes["ascii-armor"]


async def test_a_bound_key_is_seen_by_who_reads_its_providers(registry: Registry) -> None:
    await registry.provider()
    made = await registry.key("fake")
    path = f"/default/{made.attributes['key-id']}"
    assert (await registry.keys("bob", "GET", path)).status == 404
    assert (await registry.keys("bob", "GET")).body["data"] == []
    await registry.role("bob", "read", "fake")
    shown = await registry.keys("bob", "GET", path)
    assert (shown.status, shown.attributes["providers"]) == (200, ["fake"])
    assert [each["id"] for each in (await registry.keys("bob", "GET", "?filter[namespace]=default")).body["data"]] == [made.id]
    assert (await registry.keys("bob", "GET", "?filter[namespace]=other")).body["data"] == []
    assert (await registry.keys("bob", "DELETE", path)).status == 403
    unknown = await registry.key("fake", "nothing")
    assert (unknown.status, unknown.body["errors"][0]["source"]) == (422, {"pointer": "/data/attributes/providers"})


async def test_a_key_that_signs_what_can_be_downloaded_stays(registry: Registry) -> None:
    await registry.provider()
    made = await registry.key("fake")
    path = f"/default/{made.attributes['key-id']}"
    await registry.signed(ONE)
    refused = await registry.keys("root", "DELETE", path)
    assert (refused.status, refused.code) == (409, "key_used")
    assert "signs version 1.0.0 of default/fake" in refused.body["errors"][0]["detail"]
    await registry.ask("root", "PATCH", f"{FAKE}/versions/1.0.0", document("", revocation={"reason": "the key was stolen"}))
    assert (await registry.keys("root", "DELETE", path)).status == 204
    assert (await registry.keys("root", "GET", path)).status == 404
    back = await registry.ask("root", "PATCH", f"{FAKE}/versions/1.0.0", document("", revocation=None))
    assert (back.status, "was deleted" in back.body["errors"][0]["detail"]) == (409, True)
    (told,) = await registry.audited("gpg-key.delete")
    assert (told["key"], told["providers"]) == (made.attributes["key-id"], ["fake"])


@pytest.mark.parametrize("kind", ["expired", "revoked", "secret", "none"])
async def test_what_cannot_verify_is_no_key(registry: Registry, kind: str) -> None:
    await registry.provider()
    publisher = Publisher()
    soon = datetime.now(UTC) + timedelta(days=1)
    registry.site.clock.advance(seconds=(soon - registry.site.clock.now()).total_seconds() + 1)
    armor, why = {
        "expired": (publisher.expired(soon), "expired on"),
        "revoked": (publisher.revoked(), "is revoked"),
        "secret": (str(publisher.secret).replace("PRIVATE", "PUBLIC"), "it is a secret key"),
        "none": ("hello", "as `gpg --armor --export` writes it"),
    }[kind]
    refused = await registry.key("fake", armor=armor)
    assert (refused.status, refused.body["errors"][0]["source"]) == (422, {"pointer": "/data/attributes/ascii-armor"})
    assert why in refused.body["errors"][0]["detail"]


async def test_what_a_user_owned_belongs_to_nobody_when_they_are_deleted(registry: Registry) -> None:
    await registry.role("carol", "admin", "fake")
    await registry.provider(who="carol")
    carol = await registry.user("carol")
    await registry.site.terrapod.providers.disown(UserDeleted(user_id=carol))
    shown = await registry.ask("root", "GET", FAKE)
    assert shown.body["data"]["relationships"]["owner"]["data"] is None


async def test_the_entry_of_a_new_provider_says_which_labels_it_was_made_with(registry: Registry) -> None:
    await registry.provider("labelled", labels={"team": "net"})
    (told,) = await registry.audited("registry-provider.create")
    assert (told["provider"], told["new_labels"]) == ("default/labelled", {"team": "net"})
