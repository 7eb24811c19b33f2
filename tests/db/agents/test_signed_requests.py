"""Who signed a request: every way in which a listener's request can be wrong, and the few in which it may be late."""

from __future__ import annotations

import asyncio
import re
from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from sqlalchemy import func, select

from terrapod_core.agents.models import ListenerCertificate, ListenerNonce
from terrapod_core.signatures import Signer, digest_of, new_key
from tests.db.agents.conftest import URL, Joined, Site
from tests.support.wire import document

BODY = b'{"data":{"attributes":{"capacity":3}}}'


async def test_a_signed_heartbeat_is_heard(site: Site) -> None:
    joined = await site.listener(await site.pool())
    site.clock.advance(seconds=45)
    heard = await site.say(joined, sent=document("listeners", capacity=5, version="1.1.0"))
    assert heard.status == 200, heard
    assert (heard.attributes["capacity"], heard.attributes["version"], heard.attributes["draining"]) == (5, "1.1.0", False)
    site.clock.advance(seconds=45)
    shown = await site.ask("root", "GET", f"listeners/{joined.id}")
    assert shown.attributes["status"] == "idle"
    assert (await site.say(joined)).status == 200, "a heartbeat with nothing to tell"


async def test_a_p256_key_signs_too(site: Site) -> None:
    joined = await site.listener(await site.pool(), generate_private_key(SECP256R1()))
    assert (await site.say(joined)).status == 200


@pytest.mark.parametrize("who", ["root", "bob"])
async def test_a_bearer_token_opens_no_door_of_listeners(site: Site, who: str) -> None:
    joined = await site.listener(await site.pool())
    for what in ("heartbeat", "renew"):
        refused = await site.ask(who, "POST", f"listeners/{joined.id}/{what}", {})
        assert (refused.status, refused.code) == (401, "not_signed")


async def send(
    site: Site, joined: Joined, headers: dict[str, str], *, path: str = "", method: str = "POST", body: bytes = BODY
) -> tuple[int, str]:
    answer = await site.call(method, path or f"listeners/{joined.id}/heartbeat", headers, body)
    return answer.status, answer.code or ""


def signed(joined: Joined, *, url: str = "", method: str = "POST", body: bytes = BODY) -> dict[str, str]:
    return joined.signer.headers(method, url or f"{URL}/api/v2/listeners/{joined.id}/heartbeat", body)


async def test_each_component_altered_after_signing_is_refused(site: Site) -> None:
    joined = await site.listener(await site.pool())
    path = f"{URL}/api/v2/listeners/{joined.id}"
    invalid = (401, "signature_invalid")
    assert await send(site, joined, signed(joined, method="PUT")) == invalid, "@method"
    assert await send(site, joined, signed(joined, url=f"https://other.example.com/api/v2/listeners/{joined.id}/heartbeat")) == invalid
    assert await send(site, joined, signed(joined, url=f"{path}/renew")) == invalid, "@path"
    assert await send(site, joined, signed(joined, url=f"{path}/heartbeat?a=b")) == invalid, "@query"
    assert await send(site, joined, signed(joined), path=f"listeners/{joined.id}/heartbeat?a=b") == invalid, "@query"
    assert await send(site, joined, signed(joined), body=BODY.replace(b"3", b"4")) == (401, "digest_mismatch"), "the body"
    other = BODY.replace(b"3", b"4")
    assert await send(site, joined, signed(joined) | {"content-digest": digest_of(other)}, body=other) == invalid, "content-digest"
    assert await send(site, joined, signed(joined) | {"content-type": "application/json"}) == invalid, "content-type"
    longer = signed(joined, body=BODY + b" ")
    assert await send(site, joined, longer | {"content-digest": digest_of(BODY), "content-length": str(len(BODY))}) == invalid
    assert await send(site, joined, signed(joined)) == (200, "")


@pytest.mark.parametrize("header", ["content-digest", "content-type", "signature", "signature-input"])
async def test_each_header_dropped_after_signing_is_refused(site: Site, header: str) -> None:
    joined = await site.listener(await site.pool())
    headers = {name: value for name, value in signed(joined).items() if name != header}
    assert await send(site, joined, headers) == (401, "not_signed")


@pytest.mark.parametrize("name", ["@method", "@authority", "@path", "@query", "content-digest", "content-type", "content-length"])
async def test_each_component_left_out_of_the_signature_is_refused(site: Site, name: str) -> None:
    joined = await site.listener(await site.pool())
    headers = signed(joined)
    headers["signature-input"] = re.sub(rf'"{name}" ?', "", headers["signature-input"]).replace(" )", ")")
    assert await send(site, joined, headers) == (401, "not_signed")


async def test_an_unknown_parameter_and_a_second_signature_are_refused(site: Site) -> None:
    joined = await site.listener(await site.pool())
    headers = signed(joined)
    assert await send(site, joined, headers | {"signature-input": headers["signature-input"] + ";more=1"}) == (401, "not_signed")
    twice = {name: f"{headers[name]}, {headers[name].replace('sig1', 'sig2', 1)}" for name in ("signature", "signature-input")}
    assert await send(site, joined, headers | twice) == (401, "not_signed")


async def test_a_request_is_taken_once_on_every_server(site: Site) -> None:
    joined = await site.listener(await site.pool())
    headers = signed(joined)
    answers = await asyncio.gather(*(send(site, joined, headers) for _ in range(3)))
    assert sorted(answers) == [(200, ""), (401, "replayed"), (401, "replayed")]
    site.clock.advance(seconds=59)
    assert await send(site, joined, headers) == (401, "replayed")
    site.clock.advance(seconds=1)
    assert await send(site, joined, headers) == (401, "clock-skew"), "too old to be taken, so its nonce may be forgotten"


async def test_another_listeners_door_and_another_ones_key_are_refused(site: Site) -> None:
    pool = await site.pool()
    alice, mallory = await site.listener(pool), await site.listener(pool)
    assert (await site.say(mallory, listener_id=alice.id)).status == 404
    assert (await site.say(mallory, "renew", listener_id=alice.id)).status == 404
    forged = Signer(mallory.signer.key, alice.signer.key_id, clock=mallory.signer.clock)
    stranger = Joined(alice.id, alice.name, forged, {})
    refused = await site.say(stranger)
    assert (refused.status, refused.code) == (401, "signature_invalid")
    unknown = Joined(alice.id, alice.name, Signer(new_key(), "ab12", clock=alice.signer.clock), {})
    assert (await site.say(unknown)).code == "certificate_unknown"


async def test_a_listener_of_another_pool_opens_nothing(site: Site) -> None:
    ours, theirs = await site.listener(await site.pool()), await site.listener(await site.pool(name="other"))
    assert (await site.say(theirs, listener_id=ours.id)).status == 404


async def test_a_revoked_listener_is_refused_at_once(site: Site) -> None:
    joined = await site.listener(await site.pool())
    assert (await site.say(joined)).status == 200
    revoked = await site.ask("root", "POST", f"listeners/{joined.id}/actions/revoke")
    assert (revoked.status, revoked.attributes["status"]) == (200, "exited")
    for what in ("heartbeat", "renew"):
        refused = await site.say(joined, what)
        assert (refused.status, refused.code) == (401, "listener_revoked")
    entry = (await site.audited("listener.revoke"))[0]
    assert (entry.resource_id, entry.actor_name) == (joined.id, "root@example.com")


@pytest.mark.parametrize("hours", [1, -1])
async def test_a_clock_an_hour_off_recovers_by_the_servers_time(site: Site, hours: int) -> None:
    joined = await site.listener(await site.pool())
    joined.signer.clock = (site.clock.now() + timedelta(hours=hours)).timestamp
    refused = await site.say(joined)
    assert (refused.status, refused.code) == (401, "clock-skew")
    said = datetime.fromisoformat(refused.body["errors"][0]["meta"]["server-time"])
    assert said == site.clock.now()
    joined.signer.heard(said.timestamp())
    assert (await site.say(joined)).status == 200


async def test_a_clock_a_little_off_does_not_matter(site: Site) -> None:
    joined = await site.listener(await site.pool())
    for seconds in (25, -50):
        joined.signer.offset = seconds
        assert (await site.say(joined)).status == 200


async def test_only_a_forger_is_not_told_the_time(site: Site) -> None:
    joined = await site.listener(await site.pool())
    late = Joined(joined.id, joined.name, Signer(new_key(), joined.signer.key_id, clock=lambda: 0.0), {})
    assert (await site.say(late)).code == "signature_invalid"


async def test_a_proxy_that_rewrites_the_host_changes_nothing(site: Site) -> None:
    joined = await site.listener(await site.pool())
    assert (await site.say(joined, Host="10.0.0.5:8080")).status == 200
    fooled = joined.signer.headers("POST", f"https://evil.example.com/api/v2/listeners/{joined.id}/heartbeat", BODY)
    assert await send(site, joined, fooled | {"Host": "evil.example.com"}) == (401, "signature_invalid")


async def test_an_expired_certificate_renews_and_does_nothing_else(site: Site) -> None:
    joined = await site.listener(await site.pool())
    site.clock.advance(days=400)
    assert (await site.say(joined)).code == "certificate_expired"
    renewed = await site.say(joined, "renew")
    assert renewed.status == 200, renewed
    assert renewed.attributes["key-id"] != joined.signer.key_id
    joined.signer.key_id = renewed.attributes["key-id"]
    assert (await site.say(joined)).status == 200
    certificate = x509.load_pem_x509_certificate(renewed.attributes["certificate"].encode())
    assert certificate.public_key() == joined.signer.key.public_key()
    assert certificate.not_valid_after_utc == site.clock.now() + timedelta(days=7)
    assert [entry.actor_kind for entry in await site.audited("listener.renew")] == ["listener"]


async def test_an_answer_to_a_renewal_that_was_lost_costs_nothing(site: Site) -> None:
    joined = await site.listener(await site.pool())
    site.clock.advance(days=30)
    assert (await site.say(joined, "renew")).status == 200  # and the listener never learns its new certificate
    site.clock.advance(days=30)
    renewed = await site.say(joined, "renew")
    assert renewed.status == 200
    joined.signer.key_id = renewed.attributes["key-id"]
    site.clock.advance(days=30)
    assert (await site.say(joined, "renew")).status == 200
    kept = await site.terrapod.db.read(lambda session: session.execute(select(func.count()).select_from(ListenerCertificate)).scalar_one())
    assert kept == 2, "what was shown, and the new one"


async def test_renewing_takes_no_document(site: Site) -> None:
    joined = await site.listener(await site.pool())
    assert (await site.say(joined, "renew", document("listeners", csr="anything"))).status == 422
    assert (await site.say(joined, "renew", {})).status == 200


async def test_a_listener_that_leaves_is_believed_no_more_and_frees_its_name(site: Site) -> None:
    pool = await site.pool()
    joined = await site.listener(pool, name="host-1")
    left = await site.say(joined, sent=document("listeners", status="exited"))
    assert (left.status, left.attributes["status"]) == (200, "exited")
    assert (await site.say(joined)).code == "listener_exited"
    again = await site.listener(pool, name="host-1")
    assert again.id != joined.id


async def test_nonces_are_forgotten_when_they_cannot_be_used_again(site: Site) -> None:
    joined = await site.listener(await site.pool())

    async def kept() -> int:
        await site.terrapod.listeners.sweep()
        return await site.terrapod.db.read(lambda session: session.execute(select(func.count()).select_from(ListenerNonce)).scalar_one())

    await site.say(joined)
    assert await kept() == 1
    site.clock.advance(minutes=7)
    assert await kept() == 0


@pytest.mark.parametrize(
    "sent", [document("listeners", capacity=0), document("listeners", status="idle"), document("listeners", version="")]
)
async def test_a_heartbeat_that_says_what_cannot_be_is_refused(site: Site, sent: object) -> None:
    assert (await site.say(await site.listener(await site.pool()), sent=sent)).status == 422
