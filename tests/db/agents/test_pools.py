"""Pools, join tokens, joining, and what people do with listeners."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed448
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, SECP384R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from sqlalchemy import select

from terrapod_core.agents.models import Listener, PoolAuthority, PoolToken
from terrapod_core.roles.documents import CreateRole, SetRoles
from terrapod_core.signatures import new_key
from tests.db.agents.conftest import Site
from tests.support.listeners import request_for
from tests.support.wire import document, ref

POOLS = "organizations/default/agent-pools"


async def test_a_pool_is_made_changed_and_deleted_by_platform_admins_and_audited(site: Site) -> None:
    sent = document("agent-pools", name="aws-prod", service_account_name="terrapod-runner-aws", labels={"env": "prod"})
    made = await site.ask("root", "POST", POOLS, sent)
    assert made.status == 201
    shown = made.attributes
    assert (shown["name"], shown["service-account-name"], shown["labels"]) == ("aws-prod", "terrapod-runner-aws", {"env": "prod"})
    assert (shown["organization-scoped"], shown["agent-count"]) == (True, 0)
    changes = document("agent-pools", name="aws", service_account_name=None)
    changed = await site.ask("root", "PATCH", f"agent-pools/{made.id}", changes)
    assert (changed.attributes["name"], changed.attributes["service-account-name"]) == ("aws", None)
    assert changed.attributes["labels"] == {"env": "prod"}, "what was not sent stays"
    assert (await site.ask("root", "DELETE", f"agent-pools/{made.id}")).status == 204
    assert (await site.ask("root", "GET", f"agent-pools/{made.id}")).status == 404
    actions = ["agent-pool.create", "agent-pool.update", "agent-pool.delete"]
    assert [len(await site.audited(action)) for action in actions] == [1, 1, 1]
    assert (await site.audited("agent-pool.update"))[0].detail["changed"] == ["name", "service-account-name"]


@pytest.mark.parametrize(
    ("sent", "pointer"),
    [
        (document("agent-pools", name="a b"), "/data/attributes/name"),
        (document("agent-pools", name=""), "/data/attributes/name"),
        (document("agent-pools", name="taken"), "/data/attributes/name"),
        (document("agent-pools", name="x", service_account_name="Not_One"), "/data/attributes/service-account-name"),
        (document("agent-pools", name="x", labels={"a b": "c"}), "/data/attributes/labels"),
        (document("agent-pools", name="x", organization_scoped=False), "/data/attributes/organization-scoped"),
        (document("agent-pools", {"allowed-workspaces": [ref("workspaces", "ws-1")]}, name="x"), "/data/relationships/allowed-workspaces"),
        (document("agent-pools", {"allowed-projects": [ref("projects", "prj-1")]}, name="x"), "/data/relationships/allowed-projects"),
        (document("agent-pools", {"excluded-workspaces": [ref("workspaces", "w")]}, name="x"), "/data/relationships/excluded-workspaces"),
    ],
)
async def test_what_a_pool_cannot_be_is_refused_and_not_ignored(site: Site, sent: Any, pointer: str) -> None:
    await site.pool(name="taken")
    refused = await site.ask("root", "POST", POOLS, sent)
    assert refused.status == 422
    assert refused.body["errors"][0]["source"]["pointer"] == pointer


async def test_an_empty_list_of_workspaces_takes_nothing_away(site: Site) -> None:
    pool = await site.pool()
    sent = document("agent-pools", {"allowed-workspaces": []}, organization_scoped=True)
    assert (await site.ask("root", "PATCH", f"agent-pools/{pool}", sent)).status == 200


async def test_roles_say_who_reads_a_pool_and_change_nothing_in_it(site: Site) -> None:
    pool, other = await site.pool(labels={"team": "net"}), await site.pool(name="other")
    everybodys = await site.pool(name="shared", labels={"access": "everyone"})
    assert [each["id"] for each in (await site.ask("bob", "GET", POOLS)).body["data"]] == [everybodys]
    assert (await site.ask("bob", "GET", f"agent-pools/{pool}")).status == 404
    root = await site.terrapod.tokens.authenticate(site.tokens["root"])
    assert root is not None
    role = CreateRole(name="net", workspace_permission="read", pool_permission="admin", allow_labels={"team": "net"})
    await site.terrapod.roles.create(root, role)
    await site.terrapod.assignments.set(root, SetRoles(provider_name="local", email="bob@example.com", roles=["net"]))
    listed = (await site.ask("bob", "GET", f"{POOLS}?sort=-name")).body
    assert [each["id"] for each in listed["data"]] == [everybodys, pool]
    assert listed["meta"]["pagination"]["total-count"] == 2
    assert (await site.ask("bob", "GET", f"agent-pools/{other}")).status == 404
    joined = await site.listener(pool)
    for path in (f"agent-pools/{pool}", f"agent-pools/{pool}/listeners", f"agent-pools/{pool}/agents", f"agents/{joined.id}"):
        assert (await site.ask("bob", "GET", path)).status == 200
    for method, path in (
        ("DELETE", f"agent-pools/{pool}"),
        ("DELETE", f"agents/{joined.id}"),
        ("POST", f"listeners/{joined.id}/actions/revoke"),
        ("POST", f"listeners/{joined.id}/actions/drain"),
    ):
        assert (await site.ask("bob", method, path)).status == 403
    assert (await site.ask("bob", "POST", f"agent-pools/{pool}/authentication-tokens", document("x", description="d"))).status == 403
    assert (await site.ask("bob", "POST", POOLS, document("agent-pools", name="mine"))).status == 403


async def test_a_token_is_shown_once_and_kept_as_a_keyed_hash(site: Site) -> None:
    pool = await site.pool()
    text = await site.token(pool, uses=3)
    assert text.startswith("terrapod-at-")
    listed = (await site.ask("root", "GET", f"agent-pools/{pool}/authentication-tokens")).body["data"]
    assert [each["attributes"]["token"] for each in listed] == [None]
    assert (listed[0]["attributes"]["uses"], listed[0]["attributes"]["uses-left"]) == (3, 3)
    shown = await site.ask("root", "GET", f"authentication-tokens/{listed[0]['id']}")
    assert shown.attributes["description"] == "for a test"
    row = await site.terrapod.db.read(lambda session: session.execute(select(PoolToken)).scalar_one())
    assert text not in str(vars(row))
    assert row.hash_key in site.terrapod.keyring.key_ids
    assert (await site.ask(text, "GET", "account/details")).status == 401, "it is nobody's token"
    assert (await site.ask("bob", "GET", f"authentication-tokens/{row.id}")).status == 404
    assert (await site.ask("bob", "DELETE", f"authentication-tokens/{row.id}")).status == 404
    assert (await site.ask("root", "DELETE", f"authentication-tokens/{row.id}")).status == 204
    assert (await site.ask("root", "GET", f"authentication-tokens/{row.id}")).status == 404
    assert (await site.join(pool, text, new_key())).code == "token_unknown"
    assert [entry.detail["unused"] for entry in await site.audited("agent-pool-token.revoke")] == [3]


@pytest.mark.parametrize(
    ("sent", "pointer"),
    [
        ({"description": " "}, "description"),
        ({"uses": 0}, "uses"),
        ({"uses": 1001}, "uses"),
        ({"expired_at": "2001-01-01T00:00:00Z"}, "expired-at"),
    ],
)
async def test_a_token_that_cannot_be_is_refused(site: Site, sent: dict[str, Any], pointer: str) -> None:
    path = f"agent-pools/{await site.pool()}/authentication-tokens"
    refused = await site.ask("root", "POST", path, document("authentication-tokens", **({"description": "d"} | sent)))
    assert (refused.status, refused.body["errors"][0]["source"]["pointer"]) == (422, f"/data/attributes/{pointer}")


async def test_a_token_that_is_used_up_expired_or_of_another_pool_lets_nobody_in(site: Site) -> None:
    pool, other = await site.pool(), await site.pool(name="other")
    text = await site.token(pool, uses=2)
    results = await asyncio.gather(*(site.join(pool, text, new_key()) for _ in range(4)))
    assert sorted(each.status for each in results) == [201, 201, 401, 401]
    assert {each.code for each in results} == {None, "token_used_up"}
    late = await site.token(pool)
    assert (await site.join(other, late, new_key())).code == "token_unknown"
    site.clock.advance(hours=1)
    assert (await site.join(pool, late, new_key())).code == "token_expired"
    for nothing in ("terrapod-at-1111111111111111-x", site.tokens["root"], "x" * 5000):
        assert (await site.join(pool, nothing, new_key())).code == "token_unknown"
    assert (await site.join("apool-1111111111111111", late, new_key())).code == "token_unknown"


async def test_a_certificate_says_who_the_listener_is_whatever_the_request_said(site: Site) -> None:
    pool, key = await site.pool(), new_key()
    foreign = request_for(
        key,
        x509.SubjectAlternativeName([x509.UniformResourceIdentifier("terrapod://pool/apool-other/listener/agent-other")]),
        x509.BasicConstraints(ca=True, path_length=None),
        name="admin",
    )
    joined = await site.listener(pool, key, csr=foreign)
    certificate = x509.load_pem_x509_certificate(joined.attributes["certificate"].encode())
    authority = x509.load_pem_x509_certificate(joined.attributes["certificate-chain"].encode())
    certificate.verify_directly_issued_by(authority)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [f"terrapod://pool/{pool}/listener/{joined.id}"]
    assert certificate.subject.rfc4514_string() == f"CN={joined.id}"
    assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    constraints = authority.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert (constraints.ca, constraints.path_length) == (True, 0)
    assert certificate.not_valid_after_utc - site.clock.now() == timedelta(days=7)
    assert joined.attributes["renew-at"][:10] == f"{site.clock.now() + timedelta(days=3.5):%Y-%m-%d}"


async def test_each_pool_has_an_authority_of_its_own_whose_key_is_sealed(site: Site) -> None:
    pool, other = await site.pool(), await site.pool(name="other")
    text = await site.token(pool, uses=3)
    joined = await asyncio.gather(*(site.join(pool, text, new_key()) for _ in range(3)))
    chains = {each.attributes["certificate-chain"] for each in joined}
    assert len(chains) == 1, "however many join at once"
    assert (await site.listener(other)).attributes["certificate-chain"] not in chains
    rows = await site.terrapod.db.read(lambda session: session.execute(select(PoolAuthority)).scalars().all())
    assert sorted(row.pool_id for row in rows) == sorted([pool, other])
    opened = site.terrapod.keyring.open(rows[0].key, column="agent_pool_authorities.key", row=rows[0].pool_id)
    assert opened not in rows[0].key


async def test_the_keys_watch_knows_what_of_agents_rests_on_a_key(site: Site) -> None:
    pool = await site.pool()
    await site.listener(pool)
    await site.token(pool)
    newest = site.terrapod.keyring.newest
    assert "1 values of agent_pool_authorities.key" in (await site.terrapod.key_uses.needed(()))[newest]
    assert "1 join tokens of agent pools" in (await site.terrapod.key_uses.hashed(()))[newest]


def no_pem() -> str:
    return "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----"


def signed_by_another() -> str:
    """A request whose signature is that of the same request with another name."""
    key = generate_private_key(SECP256R1())
    pem = request_for(key, name="alpha")
    request = x509.load_pem_x509_csr(pem.encode())
    assert request.is_signature_valid
    der = base64.b64decode("".join(pem.splitlines()[1:-1])).replace(b"alpha", b"omega")
    return "-----BEGIN CERTIFICATE REQUEST-----\n" + base64.encodebytes(der).decode() + "-----END CERTIFICATE REQUEST-----\n"


def request_for_ed448() -> str:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(ed448.Ed448PrivateKey.generate(), None).public_bytes(Encoding.PEM).decode()


WEAK: dict[str, Callable[[], str]] = {
    "rsa": lambda: request_for(generate_rsa(65537, 2048)),
    "p-384": lambda: request_for(generate_private_key(SECP384R1())),
    "ed448": request_for_ed448,
    "garbage": no_pem,
    "no text of one": lambda: "hello",
    "signed by another": signed_by_another,
    "too long": lambda: "x" * 20_000,
}


@pytest.mark.parametrize("what", WEAK)
async def test_a_signing_request_with_a_weak_key_or_none_is_refused_and_costs_no_use(site: Site, what: str) -> None:
    pool = await site.pool()
    text, key = await site.token(pool), new_key()
    refused = await site.join(pool, text, key, csr=WEAK[what]())
    assert (refused.status, refused.body["errors"][0]["source"]["pointer"]) == (422, "/data/attributes/csr")
    assert (await site.join(pool, text, key)).status == 201


@pytest.mark.parametrize(("field", "value"), [("name", ""), ("name", "a b"), ("version", "x" * 65), ("capacity", 0), ("capacity", 1001)])
async def test_a_listener_that_says_what_cannot_be_is_refused(site: Site, field: str, value: Any) -> None:
    pool = await site.pool()
    refused = await site.join(pool, await site.token(pool), new_key(), **{field: value})
    assert (refused.status, refused.body["errors"][0]["source"]["pointer"]) == (422, f"/data/attributes/{field}")


async def test_nobody_joins_over_a_name_that_is_live_lost_or_revoked(site: Site) -> None:
    pool = await site.pool()
    joined = await site.listener(pool, name="host-1")
    text = await site.token(pool, expired_at="2027-12-31T00:00:00Z")
    assert (await site.join(pool, text, new_key(), name="host-1")).code == "name_taken"
    site.clock.advance(hours=3)
    assert (await site.join(pool, text, new_key(), name="host-1")).code == "name_taken", "it may come back"
    await site.ask("root", "POST", f"listeners/{joined.id}/actions/revoke")
    refused = await site.join(pool, text, new_key(), name="host-1")
    assert (refused.status, refused.code) == (409, "name_taken")
    assert (await site.join(pool, text, joined.signer.key, name="host-2")).code == "key_taken"
    assert (await site.ask("root", "DELETE", f"agents/{joined.id}")).status == 204
    again = await site.join(pool, text, new_key(), name="host-1")
    assert (again.status, again.id == joined.id) == (201, False)


async def test_an_agent_is_removed_when_it_is_not_heard(site: Site) -> None:
    joined = await site.listener(await site.pool())
    agent = f"agents/{joined.id}"
    assert (await site.ask("root", "GET", agent)).attributes["status"] == "idle"
    refused = await site.ask("root", "DELETE", agent)
    assert (refused.status, refused.code) == (412, "listener_live")
    site.clock.advance(minutes=1)
    assert (await site.ask("root", "GET", agent)).attributes["status"] == "unknown"
    site.clock.advance(hours=2)
    assert (await site.ask("root", "GET", agent)).attributes["status"] == "errored"
    assert (await site.say(joined)).status == 200, "it comes back after any time"
    site.clock.advance(minutes=2)
    assert (await site.ask("root", "DELETE", agent)).status == 204
    assert (await site.say(joined)).code == "certificate_unknown"
    assert len(await site.audited("listener.remove")) == 1


async def test_a_pool_with_listeners_that_count_stays(site: Site) -> None:
    pool = await site.pool()
    joined = await site.listener(pool)
    assert (await site.ask("root", "GET", f"agent-pools/{pool}")).attributes["agent-count"] == 1
    refused = await site.ask("root", "DELETE", f"agent-pools/{pool}")
    assert (refused.status, refused.code) == (409, "listeners_live")
    await site.ask("root", "POST", f"listeners/{joined.id}/actions/revoke")
    assert (await site.ask("root", "DELETE", f"agent-pools/{pool}")).status == 204
    assert (await site.terrapod.db.read(lambda session: session.execute(select(Listener)).all())) == []
    assert (await site.say(joined)).code == "certificate_unknown"


async def test_draining_is_told_to_the_listener(site: Site) -> None:
    joined = await site.listener(await site.pool())
    for action, draining in (("drain", True), ("drain", True), ("undrain", False)):
        assert (await site.ask("root", "POST", f"listeners/{joined.id}/actions/{action}")).status == 200
        assert (await site.say(joined)).attributes["draining"] is draining
    assert [len(await site.audited(f"listener.{each}")) for each in ("drain", "undrain")] == [1, 1]
    await site.ask("root", "POST", f"listeners/{joined.id}/actions/revoke")
    assert (await site.ask("root", "POST", f"listeners/{joined.id}/actions/drain")).status == 409


async def test_listeners_are_listed_by_status_and_by_when_they_were_heard(site: Site) -> None:
    pool = await site.pool()
    first = await site.listener(pool, name="a")
    site.clock.advance(minutes=5)
    second = await site.listener(pool, name="b")

    async def ids(query: str) -> list[str]:
        found = await site.ask("root", "GET", f"agent-pools/{pool}/agents?{query}")
        assert found.status == 200, found
        return [each["id"] for each in found.body["data"]]

    assert await ids("") == [first.id, second.id]
    assert await ids("sort=-name") == [second.id, first.id]
    assert await ids("filter[status]=idle") == [second.id]
    assert await ids("filter[status]=unknown") == [first.id]
    assert await ids("filter[status]=exited") == []
    since = f"{site.clock.now() - timedelta(minutes=1):%Y-%m-%dT%H:%M:%SZ}"
    assert await ids(f"filter[last-ping-since]={since}") == [second.id]
    assert (await site.ask("root", "GET", f"agent-pools/{pool}/agents?filter[last-ping-since]=soon")).status == 400


async def test_what_is_over_is_swept_after_a_week(site: Site) -> None:
    pool = await site.pool()
    left, stays = await site.listener(pool), await site.listener(pool)
    await site.say(left, sent=document("listeners", status="exited"))
    site.clock.advance(days=6)
    await site.terrapod.listeners.sweep()
    assert len((await site.ask("root", "GET", f"agent-pools/{pool}/listeners")).body["data"]) == 2
    site.clock.advance(days=2)
    await site.terrapod.listeners.sweep()
    assert [each["id"] for each in (await site.ask("root", "GET", f"agent-pools/{pool}/listeners")).body["data"]] == [stays.id]
    assert (await site.ask("root", "GET", f"agent-pools/{pool}/authentication-tokens")).body["data"] == []


async def test_an_authority_that_would_end_soon_is_replaced(site: Site) -> None:
    pool = await site.pool()
    first = await site.listener(pool)
    site.clock.advance(days=3640)
    renewed = await site.say(first, "renew")
    assert renewed.status == 200
    assert renewed.attributes["certificate-chain"] != first.attributes["certificate-chain"]
