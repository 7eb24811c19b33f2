"""A file into a store and back with the store's own client: what our ways are measured against."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from tests.support.object_stores import ACCESS_KEY_ID, AZURE_ACCOUNT, AZURE_KEY, SECRET_ACCESS_KEY, Store

Move = Callable[[], None]
NAME = "direct"
PIECE = 1 << 20


class _Nowhere:
    """A file that keeps nothing."""

    def write(self, data: bytes) -> int:
        return len(data)


def moves(store: Store | None, path: Path, scratch: Path) -> tuple[Move, Move]:
    """Up and down; without a store to a plain file, made durable."""
    kinds: dict[str, Callable[[Store, Path], tuple[Move, Move]]] = {"s3": _s3, "gcs": _gcs, "azure": _azure}
    return _file(path, scratch) if store is None else kinds[store.kind](store, path)


def _file(path: Path, scratch: Path) -> tuple[Move, Move]:
    def up() -> None:
        with path.open("rb") as source, scratch.open("wb") as target:
            while piece := source.read(PIECE):
                target.write(piece)
            target.flush()
            os.fsync(target.fileno())

    def down() -> None:
        with scratch.open("rb") as source:
            while source.read(PIECE):
                pass

    return up, down


def _s3(store: Store, path: Path) -> tuple[Move, Move]:
    import boto3

    client: Any = boto3.client(
        "s3",
        endpoint_url=store.endpoint,
        region_name="us-east-1",
        aws_access_key_id=ACCESS_KEY_ID,
        aws_secret_access_key=SECRET_ACCESS_KEY,
    )

    def up() -> None:
        client.upload_file(str(path), store.bucket, NAME)

    def down() -> None:
        for _ in client.get_object(Bucket=store.bucket, Key=NAME)["Body"].iter_chunks(PIECE):
            pass

    return up, down


def _gcs(store: Store, path: Path) -> tuple[Move, Move]:
    """A resumable upload in one request: gcsfs asks Google's own addresses first what bucket it is, which nobody answers here."""
    client = httpx.Client(base_url=store.endpoint, timeout=600, trust_env=False)
    size = path.stat().st_size

    def up() -> None:
        begun = client.post(f"/upload/storage/v1/b/{store.bucket}/o", params={"uploadType": "resumable", "name": NAME})
        with path.open("rb") as source:
            body = iter(lambda: source.read(PIECE), b"")
            answer = client.put(begun.raise_for_status().headers["Location"], content=body, headers={"Content-Length": str(size)})
        answer.raise_for_status()

    def down() -> None:
        with client.stream("GET", f"/storage/v1/b/{store.bucket}/o/{NAME}", params={"alt": "media"}) as answer:
            for _ in answer.raise_for_status().iter_raw(PIECE):
                pass

    return up, down


def _azure(store: Store, path: Path) -> tuple[Move, Move]:
    from azure.storage.blob import BlobClient

    client = BlobClient(store.endpoint, store.bucket, NAME, credential={"account_name": AZURE_ACCOUNT, "account_key": AZURE_KEY})

    def up() -> None:
        with path.open("rb") as source:
            client.upload_blob(source, overwrite=True, max_concurrency=2)

    def down() -> None:
        client.download_blob(max_concurrency=1).readinto(_Nowhere())  # type: ignore[arg-type]

    return up, down
