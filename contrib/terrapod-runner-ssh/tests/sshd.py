"""An sshd of the tests' own: on a free port, with a host key of its own, for whoever runs the tests."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

PROGRAM = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")


class Sshd:
    """A host, as far as one can be on the machine of the tests."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.home = directory / "home"
        self.home.mkdir(parents=True)
        for name in ("host", "user"):
            key = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(directory / name)]
            subprocess.run(key, check=True, stdin=subprocess.DEVNULL)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        # Every host lets in the key that the first one made.
        self.identity = directory.parent / "one" / "user"
        shutil.copy(f"{self.identity}.pub", directory / "authorized_keys")
        public = " ".join((directory / "host.pub").read_text().split()[:2])
        self.line = f"[127.0.0.1]:{self.port} {public}\n"
        self.config = directory / "sshd_config"
        self.config.write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {directory}/host\nAuthorizedKeysFile {directory}/authorized_keys\n"
            "PidFile none\nUsePAM no\nStrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
            "PermitRootLogin prohibit-password\nMaxStartups 100\nUseDNS no\nKexAlgorithms curve25519-sha256\nLogLevel VERBOSE\n"
            f"SetEnv HOME={self.home}\n"
        )
        self.user = getpass.getuser()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Sshd:
        assert PROGRAM is not None
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where it would lock up what it does not trust
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen([PROGRAM, "-D", "-e", "-f", str(self.config)], stdin=subprocess.DEVNULL, stderr=log)
        ends = time.monotonic() + 20
        while not self._answers():
            assert time.monotonic() < ends, (self.directory / "log").read_text()
            time.sleep(0.01)
        return self

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as connection:
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @property
    def log(self) -> str:
        return (self.directory / "log").read_text("utf-8", "replace")
