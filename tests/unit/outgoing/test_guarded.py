"""What a user may have the server ask, and what not."""

from __future__ import annotations

import httpx
import pytest

from terrapod_core.outgoing import OutgoingRefused, own_servers
from terrapod_core.settings import Database, Outgoing, Redis, Server, Settings
from tests.unit.outgoing.conftest import PUBLIC, Internet, moved, page

REFUSED = {
    "file": "file:///etc/passwd",
    "another scheme": "gopher://example.com/",
    "no scheme": "//example.com/",
    "plain http": "http://example.com/",
    "a user": "https://admin@example.com/",
    "a user and a password": "https://admin:hunter2@example.com/",
    "a user that looks like a host": "https://example.com@10.0.0.1/",
    "an odd port": "https://example.com:22/",
    "the database's port": "https://example.com:5432/",
    "loopback": "https://127.0.0.1/",
    "a decimal address": "https://2130706433/",
    "an octal address": "https://0177.0.0.1/",
    "a hexadecimal address": "https://0x7f.0.0.1/",
    "a hexadecimal number": "https://0x7f000001/",
    "a short address": "https://127.1/",
    "an address with a dot behind it": "https://127.0.0.1./",
    "loopback in version 6": "https://[::1]/",
    "a mapped address": "https://[::ffff:10.0.0.1]/",
    "NAT64": "https://[64:ff9b::a00:1]/",
    "6to4": "https://[2002:a00:1::]/",
    "a zone": "https://[fe80::1%25eth0]/",
    "metadata": "https://169.254.169.254/latest/meta-data/",
    "full-width dots": "https://127。0。0。1/",
    "full-width digits": "https://\uff11\uff12\uff17.0.0.1/",
    "circled digits": "https://①②⑦.⓪.⓪.①/",
    "no host": "https:///path",
    "a space": "https://exa mple.com/",
    "an empty label": "https://example..com/",
    "a label that is too long": f"https://{'a' * 64}.com/",
    "a newline": "https://example.com\r\nHost: x/",
    "a null": "https://example.com\0.evil/",
    "a percent": "https://%31%32%37.0.0.1/",
    "no IDNA": "https://☃︎.\u202e.com/",
}


@pytest.mark.parametrize("url", REFUSED.values(), ids=REFUSED.keys())
async def test_a_bad_url_is_refused_before_anything_is_asked(url: str, internet: Internet) -> None:
    clients = internet.clients()
    with pytest.raises(OutgoingRefused) as refused:
        clients.check(url)
    assert "hunter2" not in str(refused.value)
    async with clients.guarded() as http:
        with pytest.raises(OutgoingRefused):
            await http.get(url)
    assert internet.connected == []


@pytest.mark.parametrize("url", ["https://example.com/", "https://example.com:8443/x", "https://EXAMPLE.com./", "https://8.8.8.8/"])
def test_a_good_url_is_good(url: str, internet: Internet) -> None:
    internet.clients().check(url)


def test_a_name_in_other_letters_stays_another_name(internet: Internet) -> None:
    """A Cyrillic look-alike is not taken for the host on the list."""
    clients = internet.clients(allowed_hosts=("example.com",))
    clients.check("https://example.com/")
    with pytest.raises(OutgoingRefused, match="allowed_hosts"):
        clients.check("https://ex\u0430mple.com/")


async def test_tls_and_host_keep_the_name_while_the_connection_goes_to_the_judged_address(internet: Internet) -> None:
    async with internet.clients().guarded() as http:
        response = await http.get("https://example.com/path?q=1")
    assert response.text == "hello"
    assert internet.connected == [(PUBLIC, 443)]
    assert internet.resolved == ["example.com"]
    [asked] = internet.asked
    assert asked.sni == "example.com"
    assert asked.header("Host") == "example.com"


async def test_a_certificate_for_another_name_is_refused(internet: Internet) -> None:
    async with internet.clients().guarded() as http:
        with pytest.raises(httpx.TransportError, match="certificate that does not hold"):
            await http.get("https://wrong.example.org/")


@pytest.mark.parametrize("bad", ["10.0.0.1", "127.0.0.1", "169.254.169.254", "::1", "::ffff:192.168.0.1", "64:ff9b::7f00:1", "fe80::1%lo"])
async def test_one_bad_address_of_a_name_is_enough(bad: str, internet: Internet) -> None:
    internet.names["example.com"] = [PUBLIC, bad]
    async with internet.clients().guarded() as http:
        with pytest.raises(OutgoingRefused, match=r"example\.com"):
            await http.get("https://example.com/")
    assert internet.connected == []


async def test_a_name_that_flips_is_asked_once_and_that_answer_counts(internet: Internet) -> None:
    answers = iter([[PUBLIC], ["127.0.0.1"], ["127.0.0.1"]])

    async def flip(host: str, port: int) -> list[str]:
        internet.resolved.append(host)
        return next(answers)

    clients = internet.clients()
    object.__setattr__(clients, "resolve", flip)
    async with clients.guarded() as http:
        assert (await http.get("https://example.com/")).status_code == 200
        assert internet.resolved == ["example.com"]
        assert internet.connected == [(PUBLIC, 443)]
        with pytest.raises(OutgoingRefused):
            await http.get("https://example.com/again")  # a new connection: the name is looked up and judged anew
    assert len(internet.connected) == 1


@pytest.mark.parametrize(
    "target",
    ["https://10.0.0.1/", "http://example.com/", "https://inside.example.com/", "https://u:p@other.example.com/", "file:///etc/passwd"],
)
async def test_a_redirect_is_judged_like_an_address(target: str, internet: Internet) -> None:
    internet.names["inside.example.com"] = ["192.168.1.1"]
    internet.answers["example.com/"] = moved("https://other.example.com/next")
    internet.answers["other.example.com/next"] = moved(target)
    async with internet.clients().guarded() as http:
        with pytest.raises(OutgoingRefused):
            await http.get("https://example.com/")
    assert len(internet.connected) == 2


async def test_three_redirects_are_followed_and_a_fourth_is_not(internet: Internet) -> None:
    for number in range(1, 5):
        internet.answers[f"example.com/{number}"] = moved(f"/{number + 1}")
    async with internet.clients().guarded() as http:
        response = await http.get("https://example.com/2")
        assert response.text == "hello"
        assert len(response.history) == 3
        with pytest.raises(OutgoingRefused, match="more than 3 redirects"):
            await http.get("https://example.com/1")


async def test_another_origin_gets_no_credentials(internet: Internet) -> None:
    internet.answers["example.com/"] = page(b"", "302 Found", Location="https://other.example.com/", Set_Cookie="s=1; Domain=example.com")
    secret = {"Authorization": "Bearer hunter2", "Private-Token": "hunter2", "Cookie": "a=hunter2", "X-Api-Key": "hunter2"}
    async with internet.clients().guarded(headers=secret) as http:
        assert (await http.get("https://example.com/", headers={"X-Own": "hunter2", "Accept": "text/html"})).text == "hello"
    first, second = internet.asked
    assert first.head.count("hunter2") == 5
    assert "hunter2" not in second.head
    assert second.header("Cookie") is None
    assert second.header("Accept") == "text/html"
    assert second.sni == second.header("Host") == "other.example.com"


async def test_another_port_of_the_same_host_is_another_origin(internet: Internet) -> None:
    internet.answers["example.com/"] = moved("https://example.com:8443/")
    async with internet.clients().guarded(headers={"Private-Token": "hunter2"}) as http:
        assert (await http.get("https://example.com/")).text == "hello"
    assert internet.connected == [(PUBLIC, 443), (PUBLIC, 8443)]
    assert [asked.header("Private-Token") for asked in internet.asked] == ["hunter2", None]


async def test_credentials_of_the_client_do_not_come_back_on_the_next_hop(internet: Internet) -> None:
    internet.answers["example.com/"] = moved("https://other.example.com/")
    async with internet.clients().guarded() as http:
        http.auth = ("user", "hunter2")
        await http.get("https://example.com/")
    assert [bool(asked.header("Authorization")) for asked in internet.asked] == [True, False]


async def test_the_same_origin_keeps_them(internet: Internet) -> None:
    internet.answers["example.com/"] = moved("/there")
    async with internet.clients().guarded(headers={"Authorization": "Bearer x"}) as http:
        await http.get("https://example.com/")
    assert [asked.header("Authorization") for asked in internet.asked] == ["Bearer x", "Bearer x"]


async def test_a_body_is_not_sent_on_to_another_origin(internet: Internet) -> None:
    internet.answers["example.com/"] = moved("https://other.example.com/", "307 Temporary Redirect")
    async with internet.clients().guarded() as http:
        with pytest.raises(OutgoingRefused, match="our body"):
            await http.post("https://example.com/", content=b"hunter2")
    assert len(internet.asked) == 1


async def test_servers_of_ours_are_refused_by_name_by_address_and_behind_another_name(internet: Internet) -> None:
    internet.names |= {"db.example.com": ["93.184.216.35"], "alias.example.com": ["93.184.216.35"]}
    clients = internet.clients(refused=["db.example.com:8443", "93.184.216.36", "[2606:2800::1]:443"])
    async with clients.guarded() as http:
        for url in ("https://db.example.com:8443/", "https://alias.example.com:8443/", "https://93.184.216.36/", "https://[2606:2800::1]/"):
            with pytest.raises(OutgoingRefused, match=r"a server of this installation"):
                await http.get(url)
        with pytest.raises(httpx.TransportError, match="certificate"):
            await http.get("https://db.example.com/")  # another port of the same machine is not the database


async def test_an_address_of_this_machine_is_refused(internet: Internet, monkeypatch: pytest.MonkeyPatch) -> None:
    clients = internet.clients()
    object.__setattr__(clients.guard, "is_own", lambda address: str(address) == PUBLIC)
    async with clients.guarded() as http:
        with pytest.raises(OutgoingRefused, match="this machine itself"):
            await http.get("https://example.com/")


@pytest.mark.parametrize("packed", ["64:ff9b::5db8:d822", "2002:5db8:d822::1"])
async def test_this_machine_and_our_servers_are_not_reached_through_a_gateway(packed: str, internet: Internet) -> None:
    """`packed` holds the public address, by NAT64 and by 6to4."""
    internet.names["gateway.example.com"] = [packed]
    ours = internet.clients(refused=[f"{PUBLIC}:443"])
    here = internet.clients()
    object.__setattr__(here.guard, "is_own", lambda address: str(address) == PUBLIC)
    for clients, says in ((ours, "a server of this installation"), (here, "this machine itself")):
        async with clients.guarded() as http:
            with pytest.raises(OutgoingRefused, match=says):
                await http.get("https://gateway.example.com/")
    assert internet.connected == []


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "ALL_PROXY", "https_proxy"])
async def test_a_proxy_of_the_environment_is_not_used(variable: str, internet: Internet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "http://127.0.0.1:9")
    async with internet.clients().guarded() as http:
        assert (await http.get("https://example.com/")).text == "hello"
    assert internet.connected == [(PUBLIC, 443)]


async def test_settings_widen_what_is_asked(internet: Internet) -> None:
    async with internet.clients(allow_http=True, extra_ports=(8200,)).guarded() as http:
        assert (await http.get("http://example.com/")).text == "hello"
        assert (await http.get("https://example.com:8200/")).text == "hello"
    assert internet.connected == [(PUBLIC, 80), (PUBLIC, 8200)]


@pytest.mark.parametrize(
    ("host", "goes"),
    [("example.com", True), ("a.b.example.org", True), ("example.org", False), ("notexample.com", False), ("evil.com", False)],
)
def test_a_list_of_hosts_narrows_it(host: str, goes: bool, internet: Internet) -> None:
    clients = internet.clients(allowed_hosts=("Example.com", "*.example.org"))
    if goes:
        clients.check(f"https://{host}/")
    else:
        with pytest.raises(OutgoingRefused, match="allowed_hosts"):
            clients.check(f"https://{host}/")


async def test_through_a_proxy_our_own_servers_are_known_by_name(internet: Internet) -> None:
    """There no address is seen; a list such as `*.example.com` holds them too."""
    clients = internet.clients(proxy="http://proxy.example.com:3128", allowed_hosts=("*.example.com",), refused=["db.example.com:8443"])
    async with clients.guarded() as http:
        for host in ("db.example.com", "DB.example.com."):
            with pytest.raises(OutgoingRefused, match="a server of this installation"):
                await http.get(f"https://{host}:8443/")
    assert internet.connected == []


async def test_through_a_proxy_only_listed_hosts_are_asked(internet: Internet) -> None:
    unlisted = internet.clients(proxy="http://proxy.example.com:3128")
    async with unlisted.guarded() as http:
        with pytest.raises(OutgoingRefused, match="allowed_hosts"):
            await http.get("https://example.com/")
    assert internet.connected == []


def test_our_own_servers_are_read_from_the_settings() -> None:
    settings = Settings(
        external_url="https://tf.example.com",
        server=Server(host="::1", port=8080),
        database=Database(url="postgresql+asyncpg://u:hunter2@db.example.com/terrapod?host=replica:5433&host=/run/postgresql"),
        redis=Redis(url="redis://:hunter2@redis.example.com:6380/0"),
        outgoing=Outgoing(proxy="http://u:hunter2@proxy.example.com:3128"),
    )
    assert own_servers(settings) == {
        "[::1]:8080",
        "tf.example.com:443",
        "db.example.com:5432",
        "replica:5433",
        "redis.example.com:6380",
        "proxy.example.com:3128",
    }
