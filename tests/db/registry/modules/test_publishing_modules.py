"""Modules in the registry: who may make and publish them, what becomes of versions, and what stays when they are deleted."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from terrapod_core.plugin.events import UserDeleted
from tests.db.registry.modules.conftest import FILES, MODULES, VPC, Registry
from tests.support.wire import document, ref


async def test_a_version_is_there_for_everybody_who_reads_once_its_bytes_are(registry: Registry) -> None:
    await registry.module(labels={"access": "everyone"})
    made = await registry.version("1.0.0")
    assert (made.status, made.attributes["status"], made.attributes["published-at"]) == (201, "pending", None)
    assert await registry.listed("bob") == []
    assert (await registry.ask("bob", "GET", f"{VPC}/1.0.0")).status == 404, "what is not whole is for those who publish"
    assert (await registry.ask("bob", "GET", VPC)).attributes["version-statuses"] == []
    assert await registry.put(made) == 200
    assert await registry.listed("bob") == ["1.0.0"]
    shown = (await registry.ask("bob", "GET", f"{VPC}/1.0.0")).body["data"]
    assert (shown["attributes"]["status"], shown["links"]) == ("ok", {})
    module = (await registry.ask("bob", "GET", VPC)).attributes
    assert (module["status"], module["version-statuses"]) == ("setup_complete", [{"version": "1.0.0", "status": "ok", "error": None}])
    uploaded = (await registry.audited("registry-module-version.upload"))[0]
    assert (uploaded["module"], uploaded["version"], uploaded["status"]) == ("default/vpc/aws", "1.0.0", "published")
    assert uploaded["sha256"] == shown["attributes"]["sha256"]


async def test_versions_are_told_in_semantic_order_and_newly_after_every_change(registry: Registry) -> None:
    await registry.module()
    for number in ("1.0.0", "1.10.0", "1.2.0", "1.10.0-rc.1", "2.0.0+build.7"):
        await registry.publish(number)
        assert number in await registry.listed()
    assert await registry.listed() == ["2.0.0+build.7", "1.10.0", "1.10.0-rc.1", "1.2.0", "1.0.0"]
    shown = (await registry.ask("root", "GET", f"{VPC}/versions?page[size]=2&page[number]=2")).body
    assert [each["attributes"]["version"] for each in shown["data"]] == ["1.10.0-rc.1", "1.2.0"]
    assert shown["meta"]["pagination"]["total-count"] == 5
    assert (await registry.ask("root", "DELETE", f"{VPC}/1.2.0")).status == 204
    assert await registry.listed() == ["2.0.0+build.7", "1.10.0", "1.10.0-rc.1", "1.0.0"]


async def test_the_bytes_of_a_version_never_change(registry: Registry) -> None:
    await registry.module()
    made = await registry.version("1.0.0")
    assert await registry.put(made) == 200
    assert await registry.put(made) == 200, "an upload that is repeated is no other one"
    assert await registry.put(made, {"main.tf": "# another\n"}) == 409
    assert await registry.put(made, {"main.tf": "# something longer than what is stored\n" * 100}) == 409
    assert len(await registry.audited("registry-module-version.upload")) == 1
    stored = [info async for info in registry.site.terrapod.storage_backend.list("archives/")]
    assert len(stored) == 1


async def test_of_two_uploads_at_once_one_is_the_versions(registry: Registry) -> None:
    await registry.module()
    made = await registry.version("1.0.0")
    answers = await asyncio.gather(*(registry.put(made, {"main.tf": f"# {number}\n"}) for number in range(4)))
    assert sorted(answers) == [200, 409, 409, 409]
    stored = [info async for info in registry.site.terrapod.storage_backend.list("archives/")]
    assert len(stored) == 1


async def test_of_two_who_publish_one_number_at_once_one_is_told_so(registry: Registry) -> None:
    await registry.module()
    answers = await asyncio.gather(*(registry.version(number) for number in ("1.0.0", "1.0.0+linux", "1.0.0", "1.0.0+mac")))
    assert sorted(each.status for each in answers) == [201, 409, 409, 409]
    refused = next(each for each in answers if each.status == 409)
    assert refused.code == "version_exists"
    assert "waits for its upload" in refused.body["errors"][0]["detail"]


async def test_an_archive_that_is_none_is_refused_and_the_version_waits_for_a_right_one(registry: Registry) -> None:
    await registry.module()
    made = await registry.version("1.0.0")
    for wrong in (b"", b"not gzip", b"\x1f\x8b\x08\x00 cut short"):
        assert await registry.put(made, wrong) == 422
    assert await registry.put(made, {"../out.tf": "x"}) == 422
    assert await registry.listed() == []
    assert [info async for info in registry.site.terrapod.storage_backend.list("archives/")] == []
    assert await registry.put(made) == 200


async def test_what_is_known_of_an_archive_is_shown_with_its_version(registry: Registry) -> None:
    await registry.module()
    files = {"main.tf": 'variable "cidr" {\n  type = string\n}\n', "README.md": "# A network\n", "modules/subnet/main.tf": ""}
    shown = (await registry.publish("1.0.0", files=files)).attributes["contents"]
    assert [(each["name"], each["type"], each["required"]) for each in shown["module"]["inputs"]] == [("cidr", "string", True)]
    assert "<h1" in shown["module"]["readme"]["html"]
    assert [each["path"] for each in shown["submodules"]] == ["modules/subnet"]
    assert "contents" not in (await registry.ask("root", "GET", f"{VPC}/versions")).body["data"][0]["attributes"]


async def test_terraform_is_told_of_the_directory_that_a_module_is_wrapped_in(registry: Registry) -> None:
    await registry.module()
    await registry.publish("1.0.0", files={f"terraform-aws-vpc-1.0.0/{name}": text for name, text in FILES.items()})
    found = await registry.ask("root", "GET", "registry/modules/default/vpc/aws/1.0.0/download")
    assert found.headers["X-Terraform-Get"].endswith("//terraform-aws-vpc-1.0.0?archive=tar.gz")


async def test_a_module_is_made_by_a_platform_admin_or_who_has_its_names_admin(registry: Registry) -> None:
    assert (await registry.module("net", "bob")).status == 403
    await registry.role("bob", "admin", "net-*")
    assert (await registry.module("net", "bob")).status == 403
    made = await registry.module("net-core", "bob")
    assert made.status == 201
    bob = await registry.user("bob")
    related = made.body["data"]["relationships"]
    assert (related["owner"]["data"]["id"], [each["id"] for each in related["publishers"]["data"]]) == (bob, [bob])
    assert made.attributes["permissions"] == {
        "can-delete": True,
        "can-update": True,
        "can-publish": True,
        "can-release": True,
        "can-resync": False,
        "can-retry": False,
    }
    assert (await registry.audited("registry-module.create"))[0]["name"] == "default/net-core/aws"


@pytest.mark.parametrize(
    ("sent", "pointer"),
    [
        ({"name": "a.b"}, "/data/attributes/name"),
        ({"name": "-a"}, "/data/attributes/name"),
        ({"name": "a" * 65}, "/data/attributes/name"),
        ({"name": "vpc"}, "/data/attributes/name"),
        ({"provider": "AWS"}, "/data/attributes/provider"),
        ({"namespace": "private"}, "/data/attributes/namespace"),
        ({"namespace": "public"}, "/data/attributes/namespace"),
        ({"registry_name": "public"}, "/data/attributes/registry-name"),
        ({"vcs_repo": {"identifier": "a/b"}}, "/data/attributes/vcs-repo"),
        ({"no_code": True}, "/data/attributes/no-code"),
        ({"labels": {"a b": None}}, "/data/attributes/labels"),
    ],
)
async def test_what_a_module_cannot_be_is_refused_and_not_ignored(registry: Registry, sent: dict[str, Any], pointer: str) -> None:
    await registry.module()
    refused = await registry.module(**({"name": "other"} | sent))
    assert refused.status == 422
    assert pointer in [each["source"]["pointer"] for each in refused.body["errors"]]
    assert (await registry.rows())[0] == 1


@pytest.mark.parametrize(("name", "value"), [("name", "other"), ("provider", "azure"), ("namespace", "team")])
async def test_a_module_keeps_its_address(registry: Registry, name: str, value: str) -> None:
    await registry.module()
    same = document("registry-modules", name="vpc", provider="aws", namespace="default")
    assert (await registry.ask("root", "PATCH", VPC, same)).status == 200
    refused = await registry.ask("root", "PATCH", VPC, document("registry-modules", **{name: value}))
    assert (refused.status, refused.body["errors"][0]["source"]["pointer"]) == (422, f"/data/attributes/{name}")


async def test_the_levels_on_a_module(registry: Registry) -> None:
    await registry.module(labels={"team": "net"})
    await registry.publish("1.0.0")
    assert (await registry.ask("bob", "GET", VPC)).status == 404
    assert (await registry.ask("bob", "GET", "registry/modules/default/vpc/aws/versions")).status == 404
    assert (await registry.ask("bob", "GET", "registry/modules/default/vpc/aws/1.0.0/download")).status == 404
    await registry.role("bob", "read", team="net")
    assert await registry.listed("bob") == ["1.0.0"]
    assert (await registry.version("1.1.0", "bob")).status == 403
    await registry.role("bob", "write", "vpc")
    assert (await registry.version("1.1.0", "bob")).status == 201
    changes = (("PATCH", document("registry-modules", labels={})), ("DELETE", None))
    for method, sent in changes:
        assert (await registry.ask("bob", method, VPC, sent)).status == 403
    assert (await registry.ask("bob", "DELETE", f"{VPC}/1.0.0")).status == 403
    revoked = document("registry-module-versions", revocation={"reason": "bad"})
    assert (await registry.ask("bob", "PATCH", f"{VPC}/1.0.0", revoked)).status == 403
    deprecated = document("registry-module-versions", deprecation={"reason": "old"})
    assert (await registry.ask("bob", "PATCH", f"{VPC}/1.0.0", deprecated)).status == 200
    assert (await registry.ask("bob", "DELETE", f"{VPC}/1.1.0")).status == 204, "what nobody saw is taken back by who publishes"
    await registry.role("bob", "admin", "vpc", "x")
    assert (await registry.ask("bob", "PATCH", f"{VPC}/1.0.0", revoked)).status == 200
    assert (await registry.ask("bob", "DELETE", f"{VPC}/1.0.0")).status == 204


async def test_a_version_of_somebody_else_waits_until_a_publisher_releases_it(registry: Registry) -> None:
    await registry.module(labels={"access": "everyone"})
    await registry.role("bob", "write", "vpc")
    held = await registry.publish("1.0.0", "bob")
    assert (held.attributes["status"], held.attributes["held"]) == ("pending", True)
    assert await registry.listed() == []
    assert (await registry.ask("carol", "GET", f"{VPC}/1.0.0")).status == 404
    assert (await registry.ask("root", "GET", "registry/modules/default/vpc/aws/1.0.0/download")).status == 404
    refused = await registry.ask("bob", "POST", f"{VPC}/1.0.0/actions/release")
    assert (refused.status, refused.code) == (403, "publisher_needed")
    assert (await registry.ask("carol", "POST", f"{VPC}/1.0.0/actions/release")).status == 403
    released = await registry.ask("root", "POST", f"{VPC}/1.0.0/actions/release")
    assert (released.status, released.attributes["status"], released.attributes["held"]) == (200, "ok", False)
    assert await registry.listed("carol") == ["1.0.0"]
    assert (await registry.ask("root", "POST", f"{VPC}/1.0.0/actions/release")).status == 409
    assert (await registry.audited("registry-module-version.release"))[0]["created_by"].startswith("bob")


async def test_publishers_are_said_by_the_modules_admin(registry: Registry) -> None:
    await registry.module()
    bob = await registry.user("bob")
    await registry.role("bob", "write", "vpc")
    wanted = document("registry-modules", {"publishers": [ref("users", bob)]})
    assert (await registry.ask("bob", "PATCH", VPC, wanted)).status == 403
    changed = await registry.ask("root", "PATCH", VPC, wanted)
    assert [each["id"] for each in changed.body["data"]["relationships"]["publishers"]["data"]] == [bob]
    assert (await registry.publish("1.0.0", "bob")).attributes["status"] == "ok"
    assert (await registry.publish("1.1.0", "root")).attributes["held"] is True, "a platform admin is no publisher by that"
    assert (await registry.ask("bob", "POST", f"{VPC}/1.1.0/actions/release")).status == 200
    unknown = document("registry-modules", {"publishers": [ref("users", "user-1111111111111111")]})
    assert (await registry.ask("root", "PATCH", VPC, unknown)).status == 422
    entry = (await registry.audited("registry-module.update"))[0]
    assert (entry["old_publishers"], entry["new_publishers"]) == ([await registry.user("root")], [bob])


async def test_the_upload_link_is_for_who_made_the_version_alone(registry: Registry) -> None:
    await registry.module()
    await registry.role("bob", "write", "vpc")
    made = await registry.version("1.0.0")
    assert "upload" in made.body["data"]["links"]
    seen = await registry.ask("bob", "GET", f"{VPC}/1.0.0")
    assert (seen.status, seen.body["data"]["links"]) == (200, {}), "what arrives there is published in another one's name"
    narrow = await registry.ask(
        "root", "POST", "authentication-tokens", document("authentication-tokens", description="reads", permission="read")
    )
    assert (await registry.ask(narrow.attributes["token"], "GET", f"{VPC}/1.0.0")).status == 404, "reading is less than publishing"
    again = await registry.ask("root", "GET", f"{VPC}/1.0.0")
    assert await registry.put(again) == 200


async def test_who_may_not_publish_any_more_publishes_nothing_by_a_link_from_before(registry: Registry) -> None:
    await registry.module()
    await registry.role("bob", "write", "vpc")
    bob = ref("users", await registry.user("bob"))
    both = document("registry-modules", {"publishers": [bob, ref("users", await registry.user("root"))]})
    assert (await registry.ask("root", "PATCH", VPC, both)).status == 200
    made, later = await registry.version("1.0.0", "bob"), await registry.version("1.1.0", "bob")
    assert (await registry.ask("root", "PATCH", VPC, document("registry-modules", {"publishers": []}))).status == 200
    assert await registry.put(made) == 200
    assert (await registry.ask("root", "GET", f"{VPC}/1.0.0")).attributes["held"] is True
    taken = document("role-assignments", provider_name="local", email="bob@example.com", roles=[])
    assert (await registry.ask("root", "PUT", "role-assignments", taken)).status == 200
    assert await registry.put(later) == 403
    assert (await registry.ask("root", "GET", f"{VPC}/1.1.0")).attributes["status"] == "pending"
    assert len([info async for info in registry.site.terrapod.storage_backend.list("archives/")]) == 1


async def test_a_name_is_never_given_again_and_neither_is_a_number(registry: Registry) -> None:
    await registry.module()
    await registry.publish("1.0.0")
    await registry.version("1.1.0")
    for number in ("1.0.0", "1.1.0"):
        assert (await registry.ask("root", "DELETE", f"{VPC}/{number}")).status == 204
    burnt = await registry.version("1.0.0+again")
    assert (burnt.status, burnt.code) == (409, "number_burnt")
    assert (await registry.version("1.1.0")).status == 201, "nobody ever saw it"
    assert (await registry.ask("root", "DELETE", VPC)).status == 204
    assert (await registry.ask("root", "GET", VPC)).status == 404
    again = await registry.module()
    assert (again.status, again.code) == (409, "name_burnt")
    assert (await registry.module(provider="azure")).status == 201
    assert (await registry.module(namespace="team")).status == 201
    deleted = (await registry.audited("registry-module.delete"))[0]
    assert deleted == {"name": "default/vpc/aws", "versions": ["1.1.0"]}


async def test_the_archives_of_what_is_deleted_go_away(registry: Registry) -> None:
    await registry.module()
    for number in ("1.0.0", "1.1.0", "2.0.0"):
        await registry.publish(number)
    terrapod = registry.site.terrapod
    assert (await registry.ask("root", "DELETE", f"{VPC}/1.0.0")).status == 204
    assert await registry.rows() == (1, 2, 1)
    assert (await registry.ask("root", "DELETE", VPC)).status == 204
    assert await registry.rows() == (0, 0, 3), "whatever happens now, they are known"
    await next(each.run for each in terrapod.jobs.periodic if each.name == "storage.remove-discarded")()
    assert await registry.rows() == (0, 0, 0)
    assert [info async for info in terrapod.storage_backend.list("archives/")] == []


async def test_all_providers_of_a_name_are_deleted_together_or_not_at_all(registry: Registry) -> None:
    for provider in ("aws", "azure"):
        await registry.module(provider=provider, labels={"cloud": provider})
    await registry.role("bob", "admin", cloud="aws")
    assert (await registry.ask("bob", "POST", "registry-modules/actions/delete/default/vpc")).status == 204
    assert [each["attributes"]["provider"] for each in (await registry.ask("root", "GET", MODULES)).body["data"]] == ["azure"]
    assert (await registry.ask("bob", "DELETE", f"{MODULES}/private/default/vpc")).status == 404
    await registry.module(name="vpc", provider="google", labels={"cloud": "google"})
    await registry.role("bob", "read", cloud="google")
    refused = await registry.ask("bob", "DELETE", f"{MODULES}/private/default/vpc")
    assert refused.status == 403
    assert (await registry.ask("root", "DELETE", f"{MODULES}/private/default/vpc")).status == 204
    assert await registry.rows() == (0, 0, 0)


async def test_a_revoked_version_is_refused_at_download_and_a_deprecated_one_says_so(registry: Registry) -> None:
    await registry.module()
    for number in ("1.0.0", "1.1.0", "1.2.0-rc.1"):
        await registry.publish(number)
    download = "registry/modules/default/vpc/aws/1.1.0/download"
    found = await registry.ask("root", "GET", download)
    assert found.status == 204
    link = found.headers["X-Terraform-Get"]
    assert link.startswith("/c/")
    assert link.endswith("?archive=tar.gz")
    client = registry.site.terrapod.app.test_client()
    assert (await client.get(link)).status_code == 200
    deprecated = document(
        "registry-module-versions", deprecation={"deprecated-status": "Deprecated", "reason": "Use 2", "link": "https://example.com/2"}
    )
    shown = await registry.ask("root", "PATCH", f"{VPC}/1.0.0", deprecated)
    assert shown.attributes["deprecation"]["deprecated-status"] == "Deprecated"
    listed = (await registry.ask("root", "GET", "registry/modules/default/vpc/aws/versions")).body["modules"][0]["versions"]
    assert listed[-1] == {"version": "1.0.0", "deprecation": {"reason": "Use 2", "link": "https://example.com/2"}}
    revoked = document("registry-module-versions", revocation={"reason": "Opens port 22"})
    assert (await registry.ask("root", "PATCH", f"{VPC}/1.1.0", revoked)).attributes["revocation"]["reason"] == "Opens port 22"
    response = await client.get(f"/api/v2/{download}", headers={"Authorization": f"Bearer {registry.site.tokens['root']}"})
    assert response.status_code == 410
    said = await response.get_data(as_text=True)
    assert said.startswith("version 1.1.0 of default/vpc/aws was revoked on ")
    assert said.endswith("Opens port 22. The newest version that is not revoked is 1.0.0")
    assert (await client.get(link)).status_code == 404, "links that were given before end as well"
    assert await registry.listed() == ["1.2.0-rc.1", "1.1.0", "1.0.0"]
    taken_back = document("registry-module-versions", revocation=None)
    assert (await registry.ask("root", "PATCH", f"{VPC}/1.1.0", taken_back)).attributes["revocation"] is None
    assert (await registry.ask("root", "GET", download)).status == 204


async def test_a_list_is_narrowed_searched_sorted_and_paged(registry: Registry) -> None:
    for name, labels in (("vpc", {"team": "net"}), ("subnet", {"team": "net"}), ("bucket", {"team": "data"})):
        await registry.module(name, labels=labels)
    await registry.module("vpc", provider="azure", namespace="other")

    async def names(query: str, who: str = "root") -> list[str]:
        answer = await registry.ask(who, "GET", f"{MODULES}?{query}")
        return [f"{each['attributes']['name']}/{each['attributes']['provider']}" for each in answer.body["data"]]

    assert await names("") == ["bucket/aws", "subnet/aws", "vpc/aws", "vpc/azure"]
    assert await names("q=VP") == ["vpc/aws", "vpc/azure"]
    assert await names("q=othe") == ["vpc/azure"]
    assert await names("search[name]=net") == ["subnet/aws"]
    assert await names("filter[provider]=azure") == ["vpc/azure"]
    assert await names("filter[namespace]=default&filter[name]=vpc") == ["vpc/aws"]
    assert await names("filter[registry_name]=public") == []
    assert await names("filter[registry_name]=private&filter[organization_name]=default&page[size]=1&page[number]=2") == ["subnet/aws"]
    assert await names("filter[tagged][0][key]=team&filter[tagged][0][value]=net&sort=-name") == ["vpc/aws", "subnet/aws"]
    assert await names("", "bob") == []
    await registry.role("bob", "read", "vpc")
    assert await names("", "bob") == ["vpc/aws", "vpc/azure"]
    found = (await registry.ask("bob", "GET", f"{MODULES}?page[size]=1")).body
    assert found["meta"]["pagination"]["total-count"] == 2


async def test_labels_that_roles_go_by_are_changed_by_the_owner(registry: Registry) -> None:
    await registry.role("bob", "admin", "vpc")
    await registry.module(labels={"team": "net"})
    await registry.role("carol", "read", team="net")
    changed = await registry.ask("bob", "PATCH", VPC, document("registry-modules", labels={"team": "data"}))
    assert (changed.status, changed.code) == (403, "owner_needed")
    bindings = document("registry-modules", {"tag-bindings": [{"type": "tag-bindings", "attributes": {"key": "cost", "value": "7"}}]})
    # They replace all labels: `team` among them.
    assert (await registry.ask("bob", "PATCH", VPC, bindings)).status == 403
    kept = await registry.ask("bob", "PATCH", VPC, document("registry-modules", labels={"team": "net", "cost": "7"}))
    assert kept.attributes["labels"] == {"cost": "7", "team": "net"}
    ident = kept.body["data"]["id"]
    shown = (await registry.ask("carol", "GET", f"registry-modules/{ident}/tag-bindings")).body["data"]
    assert [each["attributes"] for each in shown] == [{"key": "cost", "value": "7"}, {"key": "team", "value": "net"}]
    assert (await registry.ask("root", "PATCH", VPC, document("registry-modules", labels={}))).status == 200
    assert (await registry.ask("carol", "GET", VPC)).status == 404


async def test_what_a_deleted_user_owned_is_left_to_platform_admins_and_roles(registry: Registry) -> None:
    await registry.role("bob", "admin", "net-*")
    made = await registry.module("net-core", "bob")
    bob = await registry.user("bob")
    gift = document("registry-modules", {"owner": ref("users", bob)})
    await registry.module()
    assert (await registry.ask("root", "PATCH", VPC, gift)).status == 200
    another = document("registry-modules", {"owner": ref("users", await registry.user("carol"))})
    assert (await registry.ask("bob", "PATCH", VPC, another)).status == 403
    await registry.site.terrapod.modules.disown(UserDeleted(user_id=bob))
    for path in (VPC, f"registry-modules/{made.id}"):
        assert (await registry.ask("root", "GET", path)).body["data"]["relationships"]["owner"]["data"] is None
    assert len((await registry.audited("registry-module.disown"))[0]["items"]) == 2


async def test_the_document_of_versions_is_named_and_not_sent_again(registry: Registry) -> None:
    await registry.module()
    await registry.publish("1.0.0")
    client = registry.site.terrapod.app.test_client()
    headers = {"Authorization": f"Bearer {registry.site.tokens['root']}"}
    path = "/api/v2/registry/modules/default/vpc/aws/versions"
    tag = (await client.get(path, headers=headers)).headers["ETag"]
    same = await client.get(path, headers=headers | {"If-None-Match": tag})
    assert (same.status_code, await same.get_data()) == (304, b"")
    await registry.publish("1.1.0")
    assert (await client.get(path, headers=headers | {"If-None-Match": tag})).status_code == 200


async def test_the_contracts_paths_and_the_clients_longer_ones_are_the_same(registry: Registry) -> None:
    await registry.module()
    await registry.publish("1.0.0", files=FILES)
    short, long = f"{MODULES}/default/vpc/aws", VPC
    for rest in ("", "/versions", "/1.0.0"):
        answers = [(await registry.ask("root", "GET", base + rest)) for base in (short, long)]
        assert [each.status for each in answers] == [200, 200]
        assert answers[0].body["data"] == answers[1].body["data"]
    by_query = await registry.ask("root", "GET", f"{long}/version?module_version=1.0.0")
    assert by_query.attributes["version"] == "1.0.0"
    assert (await registry.ask("root", "GET", f"{long}/version")).status == 400
    sent = document("registry-module-versions", version="1.1.0")
    assert (await registry.ask("root", "POST", "registry-modules/default/vpc/aws/versions", sent)).status == 201
    assert (await registry.ask("root", "POST", "registry-modules/actions/delete/default/vpc/aws/1.1.0")).status == 204
    assert (await registry.ask("root", "GET", f"{MODULES}/public/default/vpc/aws")).status == 404
    assert (await registry.ask("root", "GET", "organizations/other/registry-modules")).status == 404
    assert (await registry.ask("root", "POST", "registry-modules/other/vpc/aws/versions", document("x", version="1.1.0"))).status == 404
    assert (await registry.ask("root", "POST", "registry-modules/actions/delete/default/vpc/aws")).status == 204
    assert (await registry.ask("root", "GET", short)).status == 404
