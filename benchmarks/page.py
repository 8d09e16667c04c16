"""How long `flywheel page` takes over many builds of one output, and the register over as many publications.

The peer, side by side on the same evidence, is `flywheel report --json`: it looks at every build, too, and judges none.
Every tenth build is on record as published, the register's own measure is told for each of these.

Target: the pages of 10,000 builds within a minute.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from benchmarks.what_if import OUTPUT, generate, judge_all, opened, tell, timed
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.ledger import PUBLICATION, builds_of, publications, record
from flywheel_assets.promotion.paging import pages_of
from flywheel_assets.promotion.publishing import promote
from flywheel_assets.promotion.register import register
from flywheel_assets.promotion.report import as_json, report
from flywheel_assets.wiring.pages import write_pages

SECONDS_FOR_TEN_THOUSAND, PUBLISHED_OF = 60, 10


def publish(flywheel: Flywheel) -> None:
    """Put every tenth build on record, as the promotion of the first one is."""
    builds = builds_of(flywheel, OUTPUT)
    promote(flywheel, OUTPUT, builds[0])
    (first,) = publications(flywheel, OUTPUT)
    for build in builds[PUBLISHED_OF::PUBLISHED_OF]:
        record(flywheel, OUTPUT, build, PUBLICATION, first.model_copy(update={"build": build}))


def contest(home: Path, count: int) -> bool:
    """All of it, over ``count`` builds; whether the target is met."""
    flywheel, signer = opened(home)
    generate(flywheel, signer, count)
    publish(flywheel)
    judge_all(flywheel, builds_of(flywheel, OUTPUT))

    def fresh() -> Flywheel:
        """As a new process has it: nothing is remembered."""
        return replace(opened(home)[0], catalogue=flywheel.catalogue)

    def listed() -> None:
        json.dumps(as_json(one := fresh(), report(one)))

    pages: dict[str, str] = {}
    peer = timed(listed)
    tell("report --json", peer, count)
    seconds = timed(lambda: pages.update(pages_of(fresh())))
    tell("page, in memory", seconds, count)
    sys.stdout.write(f"       {seconds / peer:.2f} of report --json\n")
    tell("page, the files", timed(lambda: write_pages(home / "pages", pages)), count)
    tell("register, in a new process", timed(lambda: register(fresh())), count // PUBLISHED_OF)
    warm = fresh()
    register(warm)
    tell("register, once more", timed(lambda: register(warm)), count // PUBLISHED_OF)
    sys.stdout.write(f"       {len(pages)} pages of {sum(map(len, pages.values())):,} characters\n")
    return seconds / count <= SECONDS_FOR_TEN_THOUSAND / 10_000


def main() -> None:
    """Run it; exit code 1 when the target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--builds", type=int, nargs="+", default=[1_000, 10_000])
    met = True
    for count in parser.parse_args().builds:
        with tempfile.TemporaryDirectory() as folder:
            met = contest(Path(folder), count) and met
    raise SystemExit(0 if met else 1)


if __name__ == "__main__":
    main()
