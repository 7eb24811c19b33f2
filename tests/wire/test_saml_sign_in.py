"""Signing in through a SAML identity provider that is not ours, with a real server in between."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from tests.support.saml_idp import Two, needs_xmlsec1, signing_in
from tests.support.server import Server
from tests.support.wire import attributes

pytestmark = needs_xmlsec1

HTML = {"Accept": "text/html"}
CALLBACK = "/api/v2/auth/callback"
ROLE = {"data": {"type": "roles", "attributes": {"name": "dev", "workspace-permission": "read"}}}


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    mapping = json.dumps({"saml": {"ops": ["audit"]}})
    with signing_in(tmp_path_factory.mktemp("saml"), AUTH__ROLE_MAPPING=mapping) as two:
        yield two


def browser(server: Server) -> httpx.Client:
    """Somebody with a browser of their own: it keeps cookies, and shows where it is sent."""
    return httpx.Client(base_url=server.url, headers=HTML, verify=server.trust, trust_env=False, timeout=30)


def sent_away(page: httpx.Client) -> str:
    """Where the sign-in leads."""
    answer = page.get("/api/v2/auth/authorize", params={"provider": "saml", "return_to": "/app/settings/tokens"})
    assert answer.status_code in (302, 303), answer.text
    return answer.headers["Location"]


def at_idp(two: Two, url: str, who: str = "ana") -> dict[str, str]:
    """Sign in on the identity provider's own pages; the form that it has the browser post."""
    with httpx.Client(trust_env=False, timeout=30) as page:
        assert "Sign in to" in page.get(url).text
        answer = page.post(url, data={"who": who}).text
    action = re.search(r'action="([^"]+)"', answer)
    assert action is not None
    assert action[1] == two.server.url + CALLBACK
    return dict(re.findall(r'name="([^"]+)" value="([^"]*)"', answer))


def posted(two: Two, page: httpx.Client, fields: dict[str, str], **headers: str) -> httpx.Response:
    """The browser posts the identity provider's form."""
    return page.post(CALLBACK, data=fields, headers={"Origin": two.idp.url, "Sec-Fetch-Site": "cross-site", **headers})


def session_of(two: Two, who: str) -> str:
    """Sign in as a program does; the session's bearer text."""
    with browser(two.server) as page:
        begun = page.get("/api/v2/auth/authorize", params={"provider": "saml"}, headers={"Accept": "application/json"})
        answer = posted(two, page, at_idp(two, attributes(begun)["url"], who), Accept="application/json")
    assert answer.status_code == 200, answer.text
    return str(attributes(answer)["token"])


def test_a_person_signs_in_at_the_identity_provider(two: Two) -> None:
    with browser(two.server) as page:
        fields = at_idp(two, sent_away(page))
        answer = posted(two, page, fields)
        assert answer.status_code in (200, 302, 303), answer.text
        assert "/app/settings/tokens" in answer.headers.get("Location", "") + answer.text
        assert page.get("/app").status_code == 200


def test_a_program_gets_a_session_that_opens_the_api(two: Two) -> None:
    with two.server.client(session_of(two, "ana")) as api:
        found = attributes(api.get("account/details"))
    assert found["email"] == "ana@example.com"
    assert found["username"] == "ana"


def test_groups_give_the_roles_that_the_operator_mapped_them_to_and_only_those(two: Two) -> None:
    for who, may_look, may_change in (("ana", 200, 403), ("bob", 403, 403)):
        with two.server.client(session_of(two, who)) as api:
            assert api.get("admin/users").status_code == may_look, who
            assert api.post("roles", json=ROLE).status_code == may_change, who


def test_the_same_person_is_the_same_user_and_another_is_another(two: Two) -> None:
    names = []
    for who in ("ana", "bob", "ana"):
        with two.server.client(session_of(two, who)) as api:
            names.append(api.get("account/details").json()["data"]["id"])
    assert names[0] == names[2] != names[1]


def test_an_answer_is_good_once_and_in_one_browser(two: Two) -> None:
    with browser(two.server) as page, browser(two.server) as other:
        fields = at_idp(two, sent_away(page))
        sent_away(other)
        assert posted(two, other, fields, Accept="application/json").status_code == 400
        assert posted(two, page, fields, Accept="application/json").status_code == 200
        assert posted(two, page, fields, Accept="application/json").status_code == 400


def test_an_answer_to_another_browsers_request_is_refused(two: Two) -> None:
    with browser(two.server) as page, browser(two.server) as other:
        mine, theirs = at_idp(two, sent_away(page)), at_idp(two, sent_away(other), "bob")
        answer = posted(two, page, {**theirs, "RelayState": mine["RelayState"]}, Accept="application/json")
    assert answer.status_code == 401
    assert "the identity provider's answer was not accepted" in answer.text


def test_a_forged_answer_is_refused_in_a_sentence_and_leaves_no_trace_of_itself(two: Two) -> None:
    with browser(two.server) as page:
        fields = at_idp(two, sent_away(page))
        forged = base64.b64decode(fields["SAMLResponse"]).replace(b"ana-4711", b"bob-4712")
        answer = posted(two, page, {**fields, "SAMLResponse": base64.b64encode(forged).decode()})
    assert answer.status_code == 401
    assert "the identity provider&#39;s answer was not accepted" in answer.text.replace("&#x27;", "&#39;")
    said = two.server.said()
    assert "no signing certificate of the identity provider verifies the signature" in said
    assert "bob-4712" not in said
    assert fields["SAMLResponse"][:40] not in said


def test_an_answer_that_nobody_asked_for_is_refused(two: Two) -> None:
    with browser(two.server) as page, browser(two.server) as stranger:
        fields = at_idp(two, sent_away(page))
        assert posted(two, stranger, fields, Accept="application/json").status_code == 400
        without_state = {"SAMLResponse": fields["SAMLResponse"]}
        assert posted(two, stranger, without_state, Accept="application/json").status_code == 400


def test_its_metadata_is_there_for_everybody(two: Two) -> None:
    answer = httpx.get(f"{two.server.url}/api/v2/auth/providers/saml/metadata", verify=two.server.trust, trust_env=False)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/samlmetadata+xml"
    assert (two.server.url + CALLBACK).encode() in answer.content
    assert httpx.get(f"{two.server.url}/api/v2/auth/providers/local/metadata", verify=two.server.trust, trust_env=False).status_code == 404


def test_the_sign_in_page_offers_it_beside_passwords(two: Two) -> None:
    with browser(two.server) as page:
        shown = page.get("/app/sign-in").text
    assert "Our directory" in shown
    assert 'name="password"' in shown


def test_the_request_names_this_server_and_nothing_of_the_person(two: Two) -> None:
    with browser(two.server) as page:
        url = sent_away(page)
    request = two.idp.request(urlsplit(url).query)
    assert request.issuer.text == f"{two.server.url}/api/v2/auth/providers/saml/metadata"
    assert request.assertion_consumer_service_url == two.server.url + CALLBACK
