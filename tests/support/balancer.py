"""A proxy before several servers: each connection goes to the next one that takes it."""

from __future__ import annotations

import itertools
import socket
import socketserver
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

PIECE_BYTES = 65536


class Balancer(socketserver.ThreadingTCPServer):
    """Listens on the loopback interface."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, ports: Sequence[int]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.taken: Counter[int] = Counter()
        """How many connections each of the servers got, by its port."""
        self._ports = ports
        self._next = itertools.count()

    @property
    def url(self) -> str:
        """Where clients find the servers."""
        return f"http://localhost:{self.server_address[1]}"

    def connect(self) -> socket.socket | None:
        """To the server whose turn it is, or the next one that is up."""
        first = next(self._next)
        for attempt in range(len(self._ports)):
            port = self._ports[(first + attempt) % len(self._ports)]
            with suppress(OSError):
                there = socket.create_connection(("127.0.0.1", port))
                self.taken[port] += 1
                return there
        return None


class _Handler(socketserver.BaseRequestHandler):
    server: Balancer

    def handle(self) -> None:
        there = self.server.connect()
        if there is None:
            return
        with there:
            back = threading.Thread(target=_pass_on, args=(there, self.request), daemon=True)
            back.start()
            _pass_on(self.request, there)
            back.join()


def _pass_on(here: socket.socket, there: socket.socket) -> None:
    with suppress(OSError):
        while piece := here.recv(PIECE_BYTES):
            there.sendall(piece)
    # Whoever hangs up on one side is gone for the other.
    for each in (here, there):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


@contextmanager
def balancing(ports: Sequence[int]) -> Iterator[Balancer]:
    """A balancer that runs."""
    with Balancer(ports) as balancer:
        threading.Thread(target=balancer.serve_forever, name="balancer", daemon=True).start()
        try:
            yield balancer
        finally:
            balancer.shutdown()
