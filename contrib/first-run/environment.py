"""The environment of a checkout: `.venv`, filled from the hashed files in requirements/.

Standard library only: this runs before anything is installed. pip is told nothing about where packages come from, so
a mirror, proxy or certificate set up for it is used as it is. Everything lies in `.venv`, which git ignores.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

from progress import StepFailed, run

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
LOG = VENV / "first-run.log"
VENV_HELP = "Python's venv module is needed: on Debian and Ubuntu `apt-get install python3-venv`; or remove .venv and try again."
PIP_HELP = (
    "The packages come from the index pip is set up for, as wheels, and are compared with requirements/*.txt.\n"
    "Check the network or pip's own settings (`python3 -m pip config list`). The whole output: .venv/first-run.log"
)


def program(name: str) -> Path:
    """Where a program of the environment lies."""
    return VENV / "bin" / name


def prepare(requirements: str) -> Path:
    """Make `.venv` hold `requirements/<requirements>.txt` and the packages of this checkout; return its Python.

    What is already there and unchanged is left alone, so a second start takes no time. Raises StepFailed.
    """
    _make_venv()
    install(requirements, f"installing requirements/{requirements}.txt")
    known = (ROOT / f"requirements/{requirements}.txt").read_text()
    plugins = sorted(path.parent for path in (ROOT / "plugins").glob("*/pyproject.toml"))
    packages = [ROOT, *(plugin for plugin in plugins if _is_provided(plugin, known))]
    options = [option for package in packages for option in ("--editable", str(package))]
    metadata = [package / "pyproject.toml" for package in packages]
    _once(
        f"packages-{requirements}",
        metadata,
        "installing Terrapod and its standard plugins",
        "--no-deps",
        "--no-build-isolation",
        *options,
    )
    return program("python")


def _is_provided(plugin: Path, requirements: str) -> bool:
    """Whether what the plugin needs is among the requirements; one that is not would only be a warning at each start."""
    import tomllib  # an older Python has none, and has to get as far as being told so

    project = tomllib.loads((plugin / "pyproject.toml").read_text()).get("project", {})
    names = [re.split(r"[^A-Za-z0-9._-]", needed, maxsplit=1)[0] for needed in project.get("dependencies", [])]
    return all(name.startswith("terrapod-") or re.search(rf"^{re.escape(name)}==", requirements, re.MULTILINE) for name in names)


def install(requirements: str, title: str) -> None:
    """Install one hashed requirements file into `.venv`, wheels only, unless that was done before. Raises StepFailed."""
    path = ROOT / f"requirements/{requirements}.txt"
    _once(requirements, [path], title, "--require-hashes", "--only-binary", ":all:", "--requirement", str(path))


def _once(name: str, sources: list[Path], title: str, *options: str) -> None:
    """Let pip install something, and remember from which sources, so that it is done again only when they change."""
    digest = hashlib.sha256()
    for path in sources:
        digest.update(str(path).encode() + path.read_bytes())
    stamp = VENV / f".terrapod-{name}"
    if stamp.is_file() and stamp.read_text() == digest.hexdigest():
        return
    _pip(title, *options)
    stamp.write_text(digest.hexdigest())


def _pip(title: str, *options: str) -> None:
    command = [str(program("python")), "-m", "pip", "install", "--no-input", "--disable-pip-version-check", *options]
    run(title, command, log=LOG, help_text=PIP_HELP)


def _make_venv() -> None:
    """Make `.venv` unless a usable one stands there; one that cannot start is replaced, one that is too old is not."""
    state = _probe(program("python"))
    if state == "ready":
        return
    if state == "old":
        raise StepFailed(f"{VENV} was made with a Python older than 3.11. Move it away, and run this again.")
    if state == "broken":
        shutil.rmtree(VENV, ignore_errors=True)
        VENV.mkdir()
        create = [sys.executable, "-m", "venv", str(VENV)]
        run(f"making {VENV.name} with Python {sys.version.split()[0]}", create, log=LOG, help_text=VENV_HELP)
    else:
        run("putting pip into .venv", [program("python"), "-m", "ensurepip"], log=LOG, help_text=VENV_HELP)


def _probe(python: Path) -> str:
    """What stands at `.venv`: "ready", "old" (Python before 3.11), "no-pip", or "broken" (nothing that starts)."""
    probe = "import importlib.util as u, sys; print('old' if sys.version_info < (3, 11) else 'ready' if u.find_spec('pip') else 'no-pip')"
    try:
        done = subprocess.run([python, "-c", probe], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except OSError:
        return "broken"
    return done.stdout.strip() or "broken"
