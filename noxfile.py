"""Every check that a person or CI runs, in the environment nox itself runs in.

`nox` runs what needs no outside service; `nox -s wire -- -k lock` runs one session and hands it arguments;
`nox -l` lists them. `python3 contrib/first-run/check.py` makes the environment and calls this.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import nox

ROOT = Path(__file__).parent
PLUGINS = sorted(path.parent for path in (ROOT / "plugins").glob("*/pyproject.toml"))
PRODUCT = ["terrapod_core", "plugins", "contrib", "tests", "noxfile.py"]

SITES = [
    "postgresql+redis+s3+2",
    "postgresql+s3+2",
    "postgresql+gcs+2",
    "postgresql+redis+azure+2",
    "postgresql+local+2",
    "sqlite+s3",
    "sqlite+gcs",
    "sqlite+azure",
]
"""What `matrix` runs on; SQLite with files is what `wire` and `cli` run on."""

CHOSEN = [
    *(str(path.relative_to(ROOT)) for name in ("contract", "pytfe") for path in sorted((ROOT / "tests/wire").glob(f"test_{name}_*.py"))),
    "tests/wire/test_streams.py",
    "tests/cli/test_remote_runs.py",
    "tests/cli/test_remote_state.py",
]
"""What `replicas` runs."""

nox.needs_version = ">=2025"
nox.options.default_venv_backend = "none"
nox.options.sessions = ["lint", "types", "house", "unit", "db", "wire", "cli", "vcs", "replicas", "plugins", "browser", "docs"]
nox.options.error_on_missing_interpreters = False


def python(session: nox.Session, *arguments: str, site: str | None = None) -> None:
    """Run a module of this environment; its programs come first on PATH, whether or not it is activated.

    Modules are compiled once: images often forbid Python to keep what it compiled, and each of the thousands of processes that tests
    start would compile the whole product anew, half a second each.
    """
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    env = {"PATH": path, "PYTHONDONTWRITEBYTECODE": "", **({"TESTS_SITE": site} if site else {})}
    session.run(sys.executable, *arguments, external=True, env=env)


def pytest(session: nox.Session, *folders: str, side_by_side: bool = False, site: str | None = None, marked: str = "not long") -> None:
    """Run the tests below `folders`, or only those that the command line names: `nox -s unit -- tests/unit/runs -x`.

    `side_by_side` takes a process for each core and one more, up to four, when everything is run: tests wait for servers and programs a
    good part of their time. A file stays in one of them; those with tests that are marked `slow` are begun first. `site` has them drive
    several servers, or other parts than SQLite and files: tests/support/site.py. Those `marked` so are run, where no arguments are given.
    """
    named = [argument for argument in session.posargs if (ROOT / argument.partition("::")[0]).exists()]
    workers = min((os.cpu_count() or 1) + 1, 4)
    processes = [f"--numprocesses={workers}", "--dist=loadfile", "--no-loadscope-reorder"] if side_by_side and not session.posargs else []
    chosen = [] if session.posargs else ["-m", marked]
    python(session, "-m", "compileall", "-q", "terrapod_core", *(str(plugin.relative_to(ROOT) / "src") for plugin in PLUGINS))
    python(session, "-m", "pytest", *processes, *chosen, *([] if named else folders), *session.posargs, site=site)


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff: rules and formatting."""
    python(session, "-m", "ruff", "check", *(session.posargs or ["."]))
    python(session, "-m", "ruff", "format", "--check", *(session.posargs or ["."]))


@nox.session
def types(session: nox.Session) -> None:
    """mypy --strict over the product and its tests."""
    sources = [str(plugin.relative_to(ROOT) / "src") for plugin in PLUGINS]
    python(session, "-m", "mypy", *(session.posargs or ["terrapod_core", *sources, "contrib/first-run", "tests", "noxfile.py"]))
    for plugin in PLUGINS if not session.posargs else []:  # one at a time: their test modules share names
        python(session, "-m", "mypy", str(plugin.relative_to(ROOT) / "tests"))


@nox.session
def house(session: nox.Session) -> None:
    """Import rules, names, sizes, and that every part has its papers."""
    pytest(session, "tests/house", side_by_side=True)


@nox.session
def unit(session: nox.Session) -> None:
    """Pure tests, milliseconds each."""
    pytest(session, "tests/unit", side_by_side=True)


@nox.session
def db(session: nox.Session) -> None:
    """Services against real SQLite and PostgreSQL."""
    pytest(session, "tests/db", side_by_side=True)


@nox.session
def wire(session: nox.Session) -> None:
    """HTTP in, HTTP out."""
    pytest(session, "tests/wire", side_by_side=True)


@nox.session
def cli(session: nox.Session) -> None:
    """A real terraform against a real server."""
    pytest(session, "tests/cli", side_by_side=True)


@nox.session
def vcs(session: nox.Session) -> None:
    """Forges that people push to, a real server that follows them, and a real terraform."""
    pytest(session, "tests/vcs", side_by_side=True)


@nox.session
def long(session: nox.Session) -> None:
    """What takes minutes, and what repeats for another kind of forge or database; not part of the default run."""
    pytest(session, "tests/db", "tests/wire", "tests/cli", "tests/vcs", side_by_side=True, marked="long")


@nox.session
def replicas(session: nox.Session) -> None:
    """A part of `wire` and `cli` on two servers behind a proxy, over PostgreSQL, Redis and S3."""
    pytest(session, *CHOSEN, side_by_side=True, site=SITES[0])


@nox.session
def matrix(session: nox.Session) -> None:
    """`wire` and `cli` on every database and store: `nox -s matrix -- sqlite+gcs` takes one of them; not part of the default run."""
    named = [site for site in SITES if site in session.posargs]
    for site in named:
        session.posargs.remove(site)
    for site in named or SITES:
        session.log(f"on {site}")
        pytest(session, "tests/wire", "tests/cli", side_by_side=True, site=site)


@nox.session
def plugins(session: nox.Session) -> None:
    """Each first-party plugin's kit and its own tests."""
    pytest(session, *(str(plugin.relative_to(ROOT) / "tests") for plugin in PLUGINS), side_by_side=True)


@nox.session
def browser(session: nox.Session) -> None:
    """Pages in a real Chromium, where one is installed."""
    if not any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))):
        session.skip("no Chromium on PATH (Debian: apt-get install chromium)")
    pytest(session, "tests/browser", side_by_side=True)


@nox.session
def docs(session: nox.Session) -> None:
    """Check links, examples and the generated reference; `nox -s docs -- --write` writes the reference anew first."""
    if "--write" in session.posargs:
        session.posargs.remove("--write")
        python(session, "-m", "tests.docs.generate")
    else:
        python(session, "-m", "tests.docs.generate", "--check")
    pytest(session, "tests/docs", side_by_side=True)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Generated input against parsers and routes; not part of the default run."""
    pytest(session, "tests/fuzz")


@nox.session
def faults(session: nox.Session) -> None:
    """Processes die and stand still under real runs: `nox -s faults -- --runs 50 --seed 7`; not part of the default run.

    `nox -s faults -- agents` names a suite, tests/faults/agents.py; tests/faults/runs.py is what runs when none is named.
    """
    names = sorted(path.stem for path in (ROOT / "tests/faults").glob("[a-z]*.py"))
    suite, options = (
        (session.posargs[0], session.posargs[1:]) if session.posargs and session.posargs[0] in names else ("runs", session.posargs)
    )
    python(session, "-m", f"tests.faults.{suite}", *options)


@nox.session
def bench(session: nox.Session) -> None:
    """`nox -s bench -- first_run` runs tests/bench/first_run.py; further arguments are its own."""
    names = sorted(path.stem for path in (ROOT / "tests/bench").glob("[a-z]*.py"))
    if not session.posargs or session.posargs[0] not in names:
        session.error(f"name a benchmark: {', '.join(names) or 'there is none in tests/bench'}")
    python(session, "-m", f"tests.bench.{session.posargs[0]}", *session.posargs[1:])


@nox.session
def lock(session: nox.Session) -> None:
    """Write requirements/*.txt anew. `nox -s lock -- --upgrade` takes the newest releases."""
    python(session, "-m", "uv", "lock", "--no-progress", *session.posargs)
    for name, choice in {
        "run": ["--package", "terrapod-core", "--extra", "standard", "--no-default-groups", "--group", "build"],
        "dev": ["--all-packages", "--all-extras", "--group", "dev"],
        "terraform": ["--package", "terrapod-core", "--only-group", "terraform"],
    }.items():
        export(session, f"requirements/{name}.txt", choice)


def export(session: nox.Session, target: str, choice: list[str]) -> None:
    """Write one hashed requirements file, and refuse one that names where packages come from."""
    options = ["--frozen", "--no-emit-workspace", "--no-annotate", "--no-header", "--no-progress", "--quiet"]
    python(session, "-m", "uv", "export", *options, *choice, "--output-file", target)
    path = ROOT / target
    lines = [line for line in path.read_text().splitlines() if not line.startswith(("#", "--", "-e"))]
    if any(re.search(r"https?://", line) for line in lines):
        session.error(f"{target} names a package registry")
    path.write_text(f"# {Path(target).stem}: made by `nox -s lock` from pyproject.toml; do not edit.\n" + "\n".join(lines) + "\n")


@nox.session
def revision(session: nox.Session) -> None:
    """Write the next core migration from the difference between models and schema: `nox -s revision -- 0002 "What changes"`."""
    python(session, "-m", "tests.support.revision", *session.posargs)
