"""Configuration archives that are none, that leave their directory, that are bombs, that come twice or too late."""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from tests.support import wire
from tests.support.server import Server
from tests.support.waiting import until
from tests.support.wire import data, document, entry, packed, put, refused, stored

GOOD = wire.archive({"main.tf": wire.QUICK})


def waiting(api: httpx.Client, **settings: object) -> tuple[str, str]:
    """A configuration version that waits for its archive: its id and its link."""
    workspace = wire.make_workspace(api)["id"]
    sent = document("configuration-versions", **({"auto_queue_runs": False} | settings))
    made = data(api.post(f"workspaces/{workspace}/configuration-versions", json=sent), 201)
    return made["id"], made["attributes"]["upload-url"]


def bomb() -> bytes:
    """A file of 256 MiB in a quarter of a megabyte."""
    size = 256 << 20
    member = tarfile.TarInfo("main.tf")
    member.size = size
    packer = zlib.compressobj(9, wbits=31)
    pieces = [packer.compress(member.tobuf()), *(packer.compress(bytes(1 << 20)) for _ in range(size >> 20)), packer.compress(bytes(1024))]
    return b"".join([*pieces, packer.flush()])


def many() -> bytes:
    """More entries than anybody has."""
    block = tarfile.TarInfo("main.tf").tobuf()
    return gzip.compress(block * 100_001 + bytes(1024), compresslevel=1)


def damaged() -> bytes:
    whole = bytearray(wire.archive({"main.tf": wire.QUICK, "more.tf": "# " + "x" * 50_000}))
    whole[len(whole) // 2] ^= 0xFF
    return bytes(whole)


REFUSED: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "text": lambda: b"resource {}",
    "a zip": lambda: b"PK\x03\x04" + b"\0" * 100,
    "a tar that is not packed": lambda: gzip.decompress(GOOD),
    "packed text": lambda: gzip.compress(b"resource {}"),
    "packed nothing": lambda: gzip.compress(b""),
    "cut short": lambda: GOOD[:-20],
    "cut in a file": lambda: gzip.compress(gzip.decompress(GOOD)[:700]),
    "damaged": damaged,
    "a path above": lambda: packed([entry("../main.tf", b"x")]),
    "a path above, later": lambda: packed([entry("main.tf", b"x"), entry("modules/../../evil.tf", b"x")]),
    "an absolute path": lambda: packed([entry("/etc/cron.d/evil", b"x")]),
    "a link out": lambda: packed([entry("link", kind=tarfile.SYMTYPE, target="/etc/passwd")]),
    "a link up and out": lambda: packed([entry("a/link", kind=tarfile.SYMTYPE, target="../../../etc/passwd")]),
    "a file through a link": lambda: packed([entry("d", kind=tarfile.SYMTYPE, target="e"), entry("d/main.tf", b"x")]),
    "a hard link": lambda: packed([entry("main.tf", b"x"), entry("hard", kind=tarfile.LNKTYPE, target="main.tf")]),
    "a device": lambda: packed([entry("null", kind=tarfile.CHRTYPE)]),
    "a pipe": lambda: packed([entry("pipe", kind=tarfile.FIFOTYPE)]),
    "a path too long": lambda: packed([entry("d/" * 600 + "main.tf", b"x")]),
    "a bomb": bomb,
    "a hundred thousand entries": many,
}


@pytest.mark.parametrize("make", REFUSED.values(), ids=REFUSED.keys())
def test_an_archive_that_is_none_is_422_and_the_right_one_still_comes(api: httpx.Client, server: Server, make: Callable[[], bytes]) -> None:
    ident, url = waiting(api)
    before = stored(server)
    errors = refused(put(url, make()), 422, says="archive")
    assert errors[0]["code"] == "bad_archive"
    assert wire.attributes(api.get(f"configuration-versions/{ident}"))["status"] == "pending"
    until(lambda: stored(server) <= before, "what was written of the refused archive to be gone")
    assert put(url, GOOD).status_code == 200
    assert wire.attributes(api.get(f"configuration-versions/{ident}"))["status"] == "uploaded"


def test_what_real_clients_pack_is_taken(api: httpx.Client) -> None:
    """Links inside the tree, long paths, directories, and the headers of different packers."""
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT):
        raw = io.BytesIO()
        with tarfile.open(fileobj=raw, mode="w:gz", format=form) as tar:
            for member, content in [
                entry("./", kind=tarfile.DIRTYPE),
                entry("./main.tf", b"# main"),
                entry("modules/deep/" + "x" * 80 + "/main.tf", b"# deep"),
                entry("modules/link.tf", kind=tarfile.SYMTYPE, target="../main.tf"),
            ]:
                tar.addfile(member, io.BytesIO(content))
        _, url = waiting(api)
        assert put(url, raw.getvalue()).status_code == 200


def test_the_same_archive_again_is_200_and_another_409(api: httpx.Client) -> None:
    ident, url = waiting(api)
    assert [put(url, GOOD).status_code for _ in range(3)] == [200, 200, 200]
    refused(put(url, wire.archive({"main.tf": "# another"})), 409)
    refused(put(url, b"nothing of the kind"), 409)
    refused(put(url, b""), 409)
    assert put(url, GOOD).status_code == 200
    shown = data(api.get(f"configuration-versions/{ident}"))
    assert shown["attributes"]["status"] == "uploaded"
    answer = api.get(f"configuration-versions/{ident}/download", follow_redirects=True)
    assert answer.content == GOOD


def test_an_upload_after_its_time_is_404_and_says_so(api: httpx.Client, server: Server) -> None:
    from terrapod_core.clock import SystemClock
    from terrapod_core.storage import Capabilities, Purpose

    ident, _ = waiting(api)
    # Signed by the server's own key, and over since a minute: what a link is an hour after it was given.
    links = Capabilities(server.keyring, SystemClock())
    now = datetime.now(UTC)
    over = links.url_path(Purpose.CONFIGURATION_UPLOAD, "PUT", ident, expires=now - timedelta(minutes=1))
    refused(put(server.url + over, GOOD), 404, says="over")
    assert wire.attributes(api.get(f"configuration-versions/{ident}"))["status"] == "pending"
    assert (
        put(server.url + links.url_path(Purpose.CONFIGURATION_UPLOAD, "PUT", ident, expires=now + timedelta(minutes=1)), GOOD).status_code
        == 200
    )


def test_a_link_is_good_for_nothing_else(api: httpx.Client, server: Server) -> None:
    ident, url = waiting(api)
    refused(httpx.get(url, trust_env=False), 404)
    refused(httpx.post(url, content=GOOD, trust_env=False), 404, 405)
    refused(httpx.delete(url, trust_env=False), 404, 405)
    for wrong in (
        url[:-1] + ("a" if url[-1] != "a" else "b"),
        url + "x",
        url[:-8],
        url.rpartition("/")[0] + "/" + "A" * 120,
        url + "/more",
    ):
        refused(put(wrong, GOOD), 404)
    refused(put(f"{server.url}/api/v2/configuration-versions/{ident}/content", GOOD), 404, 405)
    assert wire.attributes(api.get(f"configuration-versions/{ident}"))["status"] == "pending"
    # A token in the header is neither wanted nor in the way, were it a bad one.
    assert put(url, GOOD, Authorization="Bearer nonsense").status_code == 200


def test_a_link_ends_with_its_workspace(api: httpx.Client) -> None:
    ident, url = waiting(api)
    # Nothing but the listing of a workspace leads from the version back to it.
    made = wire.make_workspace(api)["id"]
    other = data(api.post(f"workspaces/{made}/configuration-versions", json=document("configuration-versions")), 201)
    assert api.delete(f"workspaces/{made}").status_code == 204
    refused(put(other["attributes"]["upload-url"], GOOD), 404)
    refused(api.get(f"configuration-versions/{other['id']}"), 404)
    assert put(url, GOOD).status_code == 200
    assert wire.attributes(api.get(f"configuration-versions/{ident}"))["status"] == "uploaded"


def test_an_archived_configuration_takes_and_gives_nothing(api: httpx.Client) -> None:
    ident, url = waiting(api, provisional=True)
    refused(api.post(f"configuration-versions/{ident}/actions/archive"), 409)
    refused(api.get(f"configuration-versions/{ident}/download"), 404)
    assert put(url, GOOD).status_code == 200
    assert api.post(f"configuration-versions/{ident}/actions/archive").status_code == 202
    assert wire.attributes(api.get(f"configuration-versions/{ident}"))["status"] == "archived"
    refused(put(url, GOOD), 409)
    refused(api.get(f"configuration-versions/{ident}/download"), 404)
