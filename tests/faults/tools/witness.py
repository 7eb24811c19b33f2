"""Knows what really happened: every resource that an apply makes tells it here, and it lets plans and resources take their time.

A configuration reads a state from it while it is planned (`GET`), and each of its resources says one line and waits for the
answer. So it knows, whatever the server believes, which resources were made and how often.
"""

from __future__ import annotations

import json
import socketserver
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

EMPTY_STATE = json.dumps({"version": 4, "terraform_version": "1.0.0", "serial": 1, "lineage": "none", "outputs": {}, "resources": []})


@dataclass
class Story:
    """One configuration: how long its parts take, and what was seen of it."""

    plan_seconds: float
    resource_seconds: float
    planning: threading.Event = field(default_factory=threading.Event)
    """Somebody has begun to plan it."""
    plans: int = 0
    """How often."""
    applying: threading.Event = field(default_factory=threading.Event)
    """The first resource was begun."""
    made: Counter[str] = field(default_factory=Counter)
    """How often each resource was begun, by name."""


class Witness:
    """A server on the loopback interface; `port` is where."""

    def __init__(self) -> None:
        self._stories: dict[str, Story] = {}
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.witness = self
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, name="witness", daemon=True).start()

    def close(self) -> None:
        """Hear nobody any more."""
        self._server.shutdown()
        self._server.server_close()

    def begin(self, key: str, story: Story) -> str:
        """Expect a configuration with this key; the text of its first part, which takes `plan_seconds` to plan."""
        self._stories[key] = story
        address = f"http://127.0.0.1:{self.port}/{key}"
        return f'data "terraform_remote_state" "slow" {{\n  backend = "http"\n  config  = {{ address = "{address}" }}\n}}\n'

    def resource(self, key: str, name: str, after: str | None) -> str:
        """The text of a resource that tells when it is made, and is made anew for each key."""
        say = f"exec 3<>/dev/tcp/127.0.0.1/{self.port} && echo made {key} {name} >&3 && read -r answer <&3 && echo $answer"
        return (
            f'resource "terraform_data" "{name}" {{\n'
            f'  triggers_replace = "{key}"\n'
            f"  depends_on = [{f'terraform_data.{after}' if after else ''}]\n"
            f'  provisioner "local-exec" {{\n    interpreter = ["bash", "-c"]\n    command = "{say}"\n  }}\n}}\n'
        )

    @staticmethod
    def answer(key: str, name: str) -> str:
        """What a resource prints when it is made."""
        return f"{name}@{key}: done"

    def story(self, key: str) -> Story | None:
        """What is known under a key."""
        return self._stories.get(key)


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64
    witness: Witness


class _Handler(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        try:
            words = self.rfile.readline().decode().split()
            if len(words) == 3 and words[0] == "GET":
                self._planned(words[1].lstrip("/"))
            elif len(words) == 3 and words[0] == "made":
                self._made(words[1], words[2])
        except OSError:
            return  # whoever asked is gone, as is the custom here

    def _planned(self, key: str) -> None:
        story = self.server.witness.story(key)
        if story is None:
            return
        story.plans += 1
        story.planning.set()
        time.sleep(story.plan_seconds)
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(EMPTY_STATE)}\r\nConnection: close\r\n\r\n"
        self.wfile.write((head + EMPTY_STATE).encode())

    def _made(self, key: str, name: str) -> None:
        story = self.server.witness.story(key)
        if story is None:
            return
        story.made[name] += 1
        story.applying.set()
        time.sleep(story.resource_seconds)
        self.wfile.write(f"{Witness.answer(key, name)}\n".encode())
