from __future__ import annotations

import inspect
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

import terrapod_storage_gcs
from terrapod_core.plugin import CannotSign, StoreFailed
from terrapod_core.plugin.object_stores import BLOCK
from terrapod_storage_gcs.connection import TRIALS
from terrapod_storage_gcs.settings import GCSStorageSettings
from terrapod_storage_gcs.storage import GCSStorage
from tests.support.faulty_proxy import FaultyProxy
from tests.support.object_store_kit import Makes, ObjectStoreKit, chunks, read
from tests.support.object_stores import Store, fake_gcs, service_account
from tests.support.server import free_port

Make = Makes[GCSStorage]


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    with fake_gcs() as store:
        yield store


class TestGCSStorage(ObjectStoreKit[GCSStorage]):
    plugin = terrapod_storage_gcs
    backend = GCSStorage
    small = ["POST"]
    large = ["POST", "PUT", "PUT", "PUT"]
    goes_on = False  # fake-gcs-server takes a question for the end of an upload: test_resumable_uploads.py has a session by the book

    @pytest.fixture
    def settings(self, proxy: FaultyProxy, store: Store, tmp_path: Path) -> GCSStorageSettings:
        return GCSStorageSettings(
            bucket=store.bucket, endpoint_url=proxy.url, anonymous=True, prefix=tmp_path.name, retries=3, retry_seconds=20
        )

    async def test_a_large_creation_asks_for_an_object_that_is_not_there(self, storage: GCSStorage, proxy: FaultyProxy) -> None:
        await storage.create("claims/one", chunks(bytes(BLOCK + 1)))
        assert "ifGenerationMatch=0" in proxy.asked[0]
        assert "uploadType=resumable" in proxy.asked[0]

    async def test_a_key_of_cloud_kms_is_named_with_every_object(self, other: Make, proxy: FaultyProxy) -> None:
        storage = other(kms_key_name="projects/p/locations/l/keyRings/r/cryptoKeys/k")
        for key, data in (("small", b"x"), ("large", bytes(BLOCK + 1))):
            proxy.asked.clear()
            await storage.write(key, chunks(data))
            assert "kmsKeyName=projects" in proxy.asked[0]

    async def test_a_service_account_gets_a_token_and_signs(self, other: Make) -> None:
        with service_account() as account:
            storage = other(anonymous=False, credentials=account)
            await storage.write("states/sv-1", chunks(b"x"))
            assert await read(storage, "states/sv-1") == b"x"
            url = await storage.signed_url("states/sv-1", "GET", timedelta(minutes=5))
        assert "X-Goog-Algorithm=GOOG4-RSA-SHA256" in url
        assert "X-Goog-Expires=300" in url

    async def test_without_the_key_of_an_account_nothing_is_signed(self, storage: GCSStorage) -> None:
        with pytest.raises(CannotSign, match="only the key of a service account signs"):
            await storage.signed_url("states/sv-1", "GET", timedelta(minutes=1))

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"bucket": "nowhere"}, "the bucket nowhere at http://[^ ]+ does not exist; make it, or correct storage.gcs.bucket"),
            ({"bucket": ""}, "no bucket is set for objects; name one with storage.gcs.bucket"),
            ({"endpoint_url": f"http://127.0.0.1:{free_port()}"}, r"cannot be reached \(ClientConnectorError\); check that"),
        ],
    )
    async def test_what_is_wrong_is_said_in_one_sentence(self, other: Make, changes: dict[str, str], words: str) -> None:
        storage = other(retries=1, **changes)
        with pytest.raises(StoreFailed, match=words) as refused:
            await storage.write("states/sv-1", chunks(b"x"))
        assert "\n" not in str(refused.value)

    async def test_without_credentials_that_is_said(self, other: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
        storage = other(anonymous=False)
        with pytest.raises(StoreFailed, match="there are no Google credentials for the bucket"):
            await storage.info("states/sv-1")


def test_what_is_used_of_gcsfs_is_there() -> None:
    """When this fails a new gcsfs lacks what terrapod_storage_gcs/connection.py is built on: that file needs another way to it."""
    from gcsfs.core import GCSFileSystem
    from gcsfs.credentials import GoogleCredentials

    assert inspect.iscoroutinefunction(GCSFileSystem._set_session), "gcsfs: _set_session is gone: it gave the aiohttp session"
    assert list(inspect.signature(GCSFileSystem._get_headers).parameters)[:2] == ["self", "headers"], (
        "gcsfs: _get_headers takes other arguments: it put the token on a request"
    )
    assert isinstance(inspect.getattr_static(GCSFileSystem, "_location"), property), "gcsfs: _location is gone: it said where Google is"
    taken = inspect.signature(GCSFileSystem.__init__).parameters
    lost = {"project", "access", "token", "endpoint_url", "asynchronous", "session_kwargs"} - set(taken)
    assert not lost, f"gcsfs: GCSFileSystem no longer takes {', '.join(sorted(lost))}"
    assert hasattr(GoogleCredentials("", "read_write", "anon"), "credentials"), "gcsfs: credentials.credentials is gone: it signed URLs"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"credentials": "{}"}, "must be the JSON of a service account's key"),
        ({"credentials": "/etc/key.json"}, "must be the JSON of a service account's key"),
        ({"credentials": '{"type": "service_account"}', "anonymous": True}, "not both"),
        ({"endpoint_url": "elsewhere"}, "must begin with http"),
        ({"prefix": "../up"}, "no object key"),
    ],
)
def test_settings_that_cannot_work_are_refused(given: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        GCSStorageSettings(**given)  # type: ignore[arg-type]


def test_the_plugin_imports_no_client_library_before_it_is_used_and_no_trial_of_gcsfs_ever() -> None:
    program = """
import os, sys, terrapod_storage_gcs.storage
from terrapod_storage_gcs.settings import GCSStorageSettings
early = [name for name in ("gcsfs", "google.auth", "aiohttp") if name in sys.modules]
from terrapod_storage_gcs.connection import Connection
Connection(GCSStorageSettings(bucket="b", anonymous=True))
print(early, "gcsfs.extended_gcsfs" in sys.modules, os.environ.get(sys.argv[1]))
"""
    environment = {name: value for name, value in os.environ.items() if name != TRIALS}
    done = subprocess.run([sys.executable, "-c", program, TRIALS], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "[] False None"
