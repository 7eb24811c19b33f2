"""`terrapod try`: the first run, with nothing but a terraform binary; every step is shown as it happens."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click
import httpx
from rich.console import Console

WORKSPACE: Final = "first-run"
EMAIL: Final = "admin@example.com"
READY_SECONDS: Final = 60

CONFIGURATION: Final = """\
terraform {{
  cloud {{
    hostname     = "{host}"
    organization = "default"
    workspaces {{
      name = "{workspace}"
    }}
  }}
}}

variable "who" {{
  type    = string
  default = "you"
}}

resource "terraform_data" "greeting" {{
  input = "Hello, ${{var.who}}: this was applied by Terrapod at {when}."
}}

output "greeting" {{
  value = terraform_data.greeting.output
}}
"""

CLI_CONFIGURATION: Final = """\
host "{host}" {{
  services = {{
    "tfe.v2"       = "http://{host}/api/v2/"
    "tfe.v2.1"     = "http://{host}/api/v2/"
    "state.v2"     = "http://{host}/api/v2/"
    "modules.v1"   = "http://{host}/api/v2/registry/modules/"
    "providers.v1" = "http://{host}/api/v2/registry/providers/"
  }}
}}

credentials "{host}" {{
  token = "{token}"
}}
"""

CLOSING: Final = """
[bold]It works.[/bold] The server goes on running; Ctrl-C stops it.

  address    {url}
  sign in    {email}
  password   {password}
  pages      {url}/app
  files      {home}

To use it from a directory of yours, tell terraform about the server and put this into your configuration:

  export TF_CLI_CONFIG_FILE={rc}

  terraform {{
    cloud {{
      hostname     = "{host}"
      organization = "default"
      workspaces {{
        name = "my-workspace"
      }}
    }}
  }}
"""


@dataclass(frozen=True)
class Trial:
    """Where the trial lives."""

    home: Path
    port: int
    password: str
    token: str

    @property
    def host(self) -> str:
        """Host and port, as terraform writes a host name."""
        return f"localhost:{self.port}"

    @property
    def url(self) -> str:
        """Base address of the server."""
        return f"http://{self.host}"


@click.command("try")
@click.option(
    "--engine", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path), help="The terraform or tofu to drive."
)
@click.option("--exit", "leave", is_flag=True, help="Stop the server at the end instead of leaving it running.")
@click.option(
    "--data-dir",
    default=".try",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the trial keeps its files.",
)
@click.option("--port", default=0, help="Port of the server; by default a free one.")
def try_command(engine: Path, leave: bool, data_dir: Path, port: int) -> None:
    """See it work: a server without configuration, and a remote plan and apply by a real terraform."""
    console = Console(highlight=False)
    trial = _prepare(data_dir.absolute(), port)
    with _server(console, trial, engine.absolute()) as server:
        work = _files(trial)
        for title, arguments in (
            ("terraform init", ["init", "-input=false"]),
            ("terraform plan, carried out by the server", ["plan", "-input=false"]),
            ("terraform apply, carried out by the server", ["apply", "-input=false", "-auto-approve"]),
            ("terraform output", ["output"]),
        ):
            _terraform(console, engine.absolute(), work, trial, title, arguments)
        rc = trial.home / "terraform.rc"
        text = CLOSING.format(url=trial.url, host=trial.host, email=EMAIL, password=trial.password, home=trial.home, rc=rc)
        if leave:
            console.print("\n[bold]It works.[/bold] The server is stopped now; without --exit it goes on running.")
            return
        console.print(text)
        _until_interrupted(server)


def _prepare(home: Path, port: int) -> Trial:
    """Use what an earlier trial left, or begin one."""
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    kept = home / "trial.json"
    known: dict[str, str] = json.loads(kept.read_text()) if kept.exists() else {}
    if not known:
        known = {"password": secrets.token_urlsafe(15), "token": secrets.token_urlsafe(32)}
        descriptor = os.open(kept, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(known, file)
    if port == 0:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
    return Trial(home, port, known["password"], known["token"])


@contextmanager
def _server(console: Console, trial: Trial, engine: Path) -> Iterator[subprocess.Popen[bytes]]:
    engines = trial.home / "engines"
    engines.mkdir(exist_ok=True)
    link = engines / ("tofu" if "tofu" in engine.name else "terraform")
    link.unlink(missing_ok=True)
    link.symlink_to(engine)
    environment = {
        **os.environ,
        "TERRAPOD_BOOTSTRAP__ADMIN_EMAIL": EMAIL,
        "TERRAPOD_BOOTSTRAP__ADMIN_PASSWORD": trial.password,
        "TERRAPOD_BOOTSTRAP__ADMIN_TOKEN": trial.token,
        "TERRAPOD_RUNNER__ENGINES_DIR": str(engines),
        # One person's own trial, with an engine that may be a script with its libraries anywhere.
        "TERRAPOD_RUNNER__LOCAL__ISOLATION": "none",
    }
    log = trial.home / "server.log"
    command = [sys.executable, "-m", "terrapod_core", "serve", "--port", str(trial.port), "--data-dir", str(trial.home / "data")]
    with log.open("wb") as output:
        server = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT, cwd=trial.home, start_new_session=True)
    try:
        with console.status(f"starting a server at {trial.url}") as status:
            _until_ready(trial, server, log, lambda seconds: status.update(f"starting a server at {trial.url} ({seconds} s)"))
        console.print(f"[green]✓[/green] the server answers at {trial.url} (its log: {log})")
        yield server
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:
            server.kill()


def _until_ready(trial: Trial, server: subprocess.Popen[bytes], log: Path, tick: Callable[[int], None]) -> None:
    started = time.monotonic()
    while (elapsed := time.monotonic() - started) < READY_SECONDS:
        if server.poll() is not None:
            raise click.ClickException(f"the server ended at its start; it said:\n{log.read_text()[-2000:]}")
        try:
            if httpx.get(f"{trial.url}/ready", timeout=3, trust_env=False).status_code == 200:
                return
        except httpx.HTTPError:
            tick(int(elapsed))
            time.sleep(0.1)
            continue
        tick(int(elapsed))
        time.sleep(0.1)
    raise click.ClickException(f"the server is not ready after {READY_SECONDS} s; its log is {log}")


def _files(trial: Trial) -> Path:
    work = trial.home / "configuration"
    work.mkdir(exist_ok=True)
    when = time.strftime("%H:%M:%S on %d %B %Y")
    (work / "main.tf").write_text(CONFIGURATION.format(host=trial.host, workspace=WORKSPACE, when=when))
    for leftover in (work / ".terraform" / "terraform.tfstate", work / ".terraform" / "environment"):
        # An earlier trial used another port, which terraform would take for another server to migrate from.
        leftover.unlink(missing_ok=True)
    rc = trial.home / "terraform.rc"
    descriptor = os.open(rc, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(CLI_CONFIGURATION.format(host=trial.host, token=trial.token))
    return work


def _terraform(console: Console, engine: Path, work: Path, trial: Trial, title: str, arguments: list[str]) -> None:
    console.rule(f"[bold]{title}", align="left")
    environment = {**os.environ, "TF_CLI_CONFIG_FILE": str(trial.home / "terraform.rc"), "CHECKPOINT_DISABLE": "1"}
    if subprocess.run([str(engine), *arguments], cwd=work, env=environment, check=False).returncode != 0:
        raise click.ClickException(f"{title} failed; what it said stands above, the server's log is {trial.home / 'server.log'}")


def _until_interrupted(server: subprocess.Popen[bytes]) -> None:
    try:
        server.wait()
    except KeyboardInterrupt:
        click.echo("stopping")
