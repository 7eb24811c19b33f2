"""Large states, and clients that send and fetch them."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import random
import time
import uuid
from pathlib import Path

from tests.bench.tools.servers import BenchServer
from tests.support.workspace import data

INSTANCE_BYTES = 4096


def large_state(path: Path, size: int) -> None:
    """Write a state of about `size` bytes whose content hardly shrinks when it is compressed: one resource, many instances."""
    head = {"version": 4, "terraform_version": "1.11.4", "serial": 1, "lineage": str(uuid.uuid4()), "outputs": {}}
    resource = {"mode": "managed", "type": "terraform_data", "name": "x", "provider": 'provider["terraform.io/builtin/terraform"]'}
    noise = random.Random(7)
    with path.open("w") as file:
        file.write(json.dumps(head)[:-1] + ', "resources": [' + json.dumps(resource)[:-1] + ', "instances": [')
        for index in range(size // (INSTANCE_BYTES * 4 // 3 + 120)):
            text = base64.b64encode(noise.randbytes(INSTANCE_BYTES)).decode()
            attributes = {"index_key": index, "schema_version": 0, "attributes": {"id": str(index), "input": text}}
            file.write((", " if index else "") + json.dumps(attributes))
        file.write(']}], "check_results": null}')


def bare_rate(path: Path, scratch: Path) -> float:
    """Bytes a second at which a bare loop hashes a file twice and writes it, durably: what no upload can beat."""
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    began = time.monotonic()
    with path.open("rb") as source, scratch.open("wb") as target:
        while piece := source.read(1 << 20):
            md5.update(piece)
            sha256.update(piece)
            target.write(piece)
        target.flush()
        os.fsync(target.fileno())
    took = time.monotonic() - began
    scratch.unlink()
    return path.stat().st_size / took


def new_workspace(server: BenchServer, name: str, *, locked: bool = False) -> str:
    """Make a workspace; its id."""
    made = server.api.post("organizations/default/workspaces", json={"data": {"type": "workspaces", "attributes": {"name": name}}})
    workspace_id = str(data(made)["id"])
    if locked:
        data(server.api.post(f"workspaces/{workspace_id}/actions/lock", json={}))
    return workspace_id


def announce(server: BenchServer, workspace_id: str, path: Path) -> str:
    """Announce a state; the link at which it is uploaded."""
    with path.open("rb") as file:
        head = json.loads(file.read(400).split(b', "outputs"')[0] + b"}")
        file.seek(0)
        md5 = hashlib.file_digest(file, "md5").hexdigest()
    attributes = {"serial": head["serial"], "lineage": head["lineage"], "md5": md5}
    body = {"data": {"type": "state-versions", "attributes": attributes}}
    made = data(server.api.post(f"workspaces/{workspace_id}/state-versions", json=body))
    return str(made["attributes"]["hosted-state-upload-url"])
