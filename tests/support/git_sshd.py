"""A real sshd that lets one key do one thing: fetch from and push to the repositories of a forge."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.server import free_port
from tests.support.waiting import until

PROGRAM = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
GIT_SHELL = shutil.which("git-shell")


class GitSshd:
    """Serves the directory `repositories` at `url`."""

    def __init__(self, directory: Path, repositories: Path) -> None:
        self.directory = directory
        self.port = free_port()
        directory.mkdir(parents=True)
        for name in ("host", "user", "stranger", "locked"):
            self._make_key(name, passphrase="of the tests" if name == "locked" else "")
        key = (directory / "user.pub").read_text()
        forced = f'command="{GIT_SHELL} -c \\"$SSH_ORIGINAL_COMMAND\\"",restrict'
        (directory / "authorized_keys").write_text(f"{forced} {key}")
        (directory / "sshd_config").write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {directory}/host\nAuthorizedKeysFile {directory}/authorized_keys\n"
            "PidFile none\nUsePAM no\nStrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
            "PermitRootLogin prohibit-password\nMaxStartups 100\nUseDNS no\nAcceptEnv GIT_PROTOCOL\n"
        )
        self.url = f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}{repositories}"
        self._process: subprocess.Popen[bytes] | None = None

    def private(self, name: str = "user") -> str:
        """A private key: of `user`, who is let in, of a `stranger`, or `locked` with a passphrase."""
        return (self.directory / name).read_text()

    @property
    def known_hosts(self) -> str:
        """The line that pins it."""
        return f"[127.0.0.1]:{self.port} {' '.join((self.directory / 'host.pub').read_text().split()[:2])}\n"

    def change_host_key(self) -> None:
        """As when somebody else answers at its address."""
        self.stop()
        for name in ("host", "host.pub"):
            (self.directory / name).unlink()
        self._make_key("host")
        self.start()

    def start(self) -> None:
        """Listen."""
        assert PROGRAM is not None
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where it would lock up what it does not trust
        with (self.directory / "log").open("ab") as log:
            command = [PROGRAM, "-D", "-e", "-f", str(self.directory / "sshd_config")]
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=log)
        until(self._answers, "sshd to listen")

    def stop(self) -> None:
        """Be away."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Nobody listens in this block."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    def _make_key(self, name: str, passphrase: str = "") -> None:
        key = ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", name, "-f", str(self.directory / name)]
        subprocess.run(key, check=True, stdin=subprocess.DEVNULL)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as connection:
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False
