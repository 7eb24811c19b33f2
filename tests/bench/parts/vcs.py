"""Following repositories: what a cycle of looks asks, and how soon a push is planned. What a large one costs is in `vcs_large.py`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import psutil

from tests.bench.tools.report import Report, seconds
from tests.bench.tools.servers import serving
from tests.support.followed import KINDS, Followed, Follower, Kind
from tests.support.forge import MAIN_TF
from tests.support.waiting import until

PLANNING_SECONDS = 2.0
REQUESTS = 2.0
STARTED = ("planning", "planned", "planned_and_finished", "errored", "applying", "applied")


@contextmanager
def followed(directory: Path, kind: Kind = KINDS["gitlab"], **settings: str) -> Iterator[Followed]:
    """A forge, and a server that follows it; GitLab for whoever does not mind, because its double answers quickest."""
    directory.mkdir(parents=True)
    forge = kind.forge(directory)
    forge.start()
    try:
        with serving(directory / "server", settings={"OUTGOING__CA_FILE": str(forge.ca_file), **kind.settings, **settings}) as server:
            yield Followed(kind, forge, server)
    finally:
        forge.stop()


def polls(report: Report, directory: Path, *, repositories: int, workspaces: int) -> None:
    """How many requests a cycle costs in which nothing has changed, and how much of a processor."""
    report.section(f"{workspaces} workspaces over {repositories} repositories, looked at every 2 s")
    with followed(directory, VCS__POLL_SECONDS="2", VCS__POLL_QUIET_SECONDS="2", LIMITS__PENDING_RUNS_PER_USER="100000") as site:
        report.doing("repositories")
        repos = [site.repository() for _ in range(repositories)]
        report.doing("workspaces")
        followers = [site.workspace(repos[number % repositories], awaited=False) for number in range(workspaces)]
        report.doing("their first configurations")
        for follower in followers:
            follower.until_change(follower.repo.sha(), "skipped", "started")
        process = psutil.Process(site.server.pid)
        site.forge.forget()
        cpu, began = sum(process.cpu_times()[:2]), time.monotonic()
        looked = _looks(site)
        report.doing("ten cycles in which nothing changes")
        until(lambda: _looks(site) - looked >= 10 * repositories, "ten cycles", seconds=240)
        took = time.monotonic() - began
        share = (sum(process.cpu_times()[:2]) - cpu) / took
        looks = _looks(site) - looked
        asked = site.forge.count() / site.forge.count("*/git-upload-pack")  # one of these to a look
        report.add(
            "requests for one repository in one cycle", f"{asked:.2f}", f"{looks} looks", aim=f"at most {REQUESTS:g}", met=asked <= REQUESTS
        )
        report.add("a processor meanwhile", f"{share:.0%}", f"{looks / took:.0f} looks a second")


def _looks(site: Followed) -> int:
    """Looks that found nothing new, so far."""
    text = site.server.api.get(f"{site.server.url}/metrics").text
    line = next((each for each in text.splitlines() if each.startswith("terrapod_vcs_polls_total") and 'outcome="unchanged"' in each), " 0")
    return int(float(line.rpartition(" ")[2]))


def webhooks(report: Report, directory: Path, *, rounds: int) -> None:
    """How soon after its webhook a push is planning, while the clock would look in an hour."""
    report.section(f"from a webhook to a plan, by the clock in an hour (median of {rounds})")
    with followed(directory, VCS__POLL_SECONDS="3600", VCS__POLL_QUIET_SECONDS="3600") as site:
        repo = site.repository()
        follower = site.workspace(repo, queue_all_runs=True, auto_apply=True)
        follower.run_of(repo.sha(), "applied")
        took = []
        for number in range(rounds):
            report.doing(f"push {number + 1} of {rounds}")
            took.append(_until_planning(site, follower, number))
        found, slowest = median(took), max(took)
        report.add("planning after", seconds(found), f"the slowest {seconds(slowest)}", aim="within 2 s", met=slowest <= PLANNING_SECONDS)


def _until_planning(site: Followed, follower: Follower, number: int) -> float:
    repo = follower.repo
    sha = repo.push({"main.tf": MAIN_TF.replace("rex", f"rex {number}")}, f"Round {number}")
    secret = site.connection["attributes"]["webhook-secret"]
    url = f"{site.server.url}/api/v2/vcs-events/gitlab/{site.connection['id']}"
    began = time.monotonic()
    answer = site.forge.deliver("Push Hook", site.forge.pushed(repo, "refs/heads/main", sha), url, secret)
    assert answer.status_code == 202, answer.text

    def planning() -> bool:
        return any(run["attributes"]["status"] in STARTED for run in follower.runs() if run["attributes"]["message"] == f"Round {number}")

    until(planning, "a plan")
    took = time.monotonic() - began
    follower.run_of(sha, "applied")
    return took
