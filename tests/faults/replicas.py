"""Two servers behind a balancer on PostgreSQL, Redis and S3: `nox -s faults -- replicas`, some seven minutes.

Under load a replica, PostgreSQL, Redis and the object store are killed, stopped or stand still, in turn. Clients ask again as sensible
ones do, and note what was acknowledged: none of it may be lost, no run may be stuck, and no request may fail outside of an outage.

nox -s faults -- replicas --rounds 3 --seed 7    three times each, in this order and at these moments
nox -s faults -- replicas --keep                 leave the servers' directories for a look, also when all is well
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

from rich.console import Console

from tests.faults.tools import outages, settled
from tests.faults.tools.load import Load
from tests.support.site import PARTS, Plan, Site

PLAN = Plan("postgresql", "s3", redis=True, servers=2)
SETTINGS = {"LOG_FORMAT": "json", "RUNNER__LOCAL__CONCURRENCY": "2"}
SAFE = ("ALTER SYSTEM RESET ALL", "SELECT pg_reload_conf()")
"""PostgreSQL as it comes, which reaches the disk before it says so; the tests' own does not."""


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(prog="nox -s faults -- replicas")
    parser.add_argument("--rounds", type=int, default=1, help="how often each outage happens (default 1)")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10_000), help="of the order and the moments")
    parser.add_argument("--only", help="outages with this in their name")
    parser.add_argument("--keep", action="store_true", help="leave the servers' directories")
    chosen = parser.parse_args()
    console = Console(highlight=False, soft_wrap=True, width=150)
    directory = Path(tempfile.mkdtemp(prefix="terrapod-replicas-"))
    began = time.monotonic()

    def say(sentence: str) -> None:
        seconds = int(time.monotonic() - began)
        console.print(f"[dim]{seconds // 60}:{seconds % 60:02}[/dim] {sentence}")

    console.print(f"seed {chosen.seed}; after each outage {outages.GRACE_SECONDS:g} s of grace, then no request may fail")
    PARTS.postgres.execute(*SAFE)
    with closing(Site(directory, PLAN, settings=SETTINGS)) as site:
        site.start()
        load = Load(site, chosen.seed)
        load.start()
        say("two replicas are up, and the load has begun")
        planned = outages.all_outages(site.replicas, PARTS.postgres, PARTS.redis, PARTS.store(PLAN.storage))
        wanted = [each for each in planned if chosen.only is None or chosen.only in each.name]
        past = outages.suffer(wanted, chosen.rounds, random.Random(chosen.seed), say, load.journal)
        load.stop()
        say("everything that was begun has ended")
        load.stop_hearing()
        broken = [*load.journal.broken, *settled.of_site(site, load), *outages.of_outages(past, load.journal)]
        for name, (code, said) in {"storage check --deep": settled.storage(site), "audit verify": settled.audit(site)}.items():
            say(f"terrapod {name}: {said}")
            broken += [f"terrapod {name} ended with {code}"] if code else []
    outages.show(past, load.journal, console)
    kept = load.kept
    ended = ", ".join(f"{count} {status}" for status, count in Counter(each.status for each in kept.runs).items())
    console.print(
        f"acknowledged: {len(kept.names)} workspaces, {len(kept.values)} variables, {len(kept.states)} states; runs: {ended}; "
        f"{len(kept.heard)} events over {kept.streams} streams; "
        f"{load.journal.requests} requests answered, {len(load.journal.failures)} failed"
    )
    for sentence in broken:
        console.print(sentence, style="red", markup=False)
    console.print(f"{len(past)} outages, {len(broken) or 'no'} broken promises; seed {chosen.seed}")
    if chosen.keep or broken:
        console.print(f"the servers' directories: {directory}")
    else:
        shutil.rmtree(directory, ignore_errors=True)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
