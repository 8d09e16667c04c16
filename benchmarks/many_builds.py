"""What a build costs to take in and to judge as an output's log grows: the ten-thousandth what the first did.

Receipts of one output are delivered, taken into evidence in batches as ticks do, and judged with their cache read, in
one process and without Dagster. Printed is what a build costs against what it does in the smallest round: the ratio
is 1 where that does not grow. It is one of CPU time, which a busy machine changes less than the time that goes by.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from flywheel_assets.adapters.signatures.keys import DsseSigner, key_file
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.intake import take_in
from flywheel_assets.promotion.judging import judge
from flywheel_assets.promotion.ledger import builds_of
from flywheel_assets.promotion.reading import one_reading
from flywheel_assets.wiring import SAMPLE_CATALOGUE, Settings, open_flywheel
from flywheel_assets_tests.orchestration.bursts import ONE, burst
from flywheel_assets_tests.promotion.installation import trusting

OUTPUT = "tide-clock"
MOST = 2.0  # of the time a build takes in the smallest round
PASS = 300  # builds that a run judges


def opened(home: Path) -> tuple[Flywheel, DsseSigner]:
    """The sample with one delivery in its inbox, and a builder's key that its catalogue trusts."""
    flywheel = open_flywheel(Settings(home, SAMPLE_CATALOGUE))
    for path in (home / "sample" / "inbox").iterdir():
        if path.stem != ONE:
            path.unlink()
    signer = key_file(home / "burst.pem")
    return replace(flywheel, catalogue=trusting("tinyland-nix", signer, flywheel.catalogue)), signer


def intake(flywheel: Flywheel) -> None:
    """Take in all that was delivered, tick by tick."""
    while take_in(flywheel).total:
        pass


def judging(flywheel: Flywheel) -> None:
    """Judge every build, run by run."""
    builds = builds_of(flywheel, OUTPUT)
    for start in range(0, len(builds), PASS):
        one_pass = one_reading(flywheel)
        for build in builds[start : start + PASS]:
            judge(one_pass, OUTPUT, build)


def timed(step: Callable[[Flywheel], None], flywheel: Flywheel) -> tuple[float, float]:
    """Seconds of CPU, and seconds that went by."""
    cpu, wall = time.process_time(), time.monotonic()
    step(flywheel)
    return time.process_time() - cpu, time.monotonic() - wall


def contest(counts: list[int], what: str, *, one_revision: bool) -> None:
    """One line for each count."""
    base: dict[str, float] = {}
    for count in counts:
        with tempfile.TemporaryDirectory(prefix="builds-bench-") as name:
            flywheel, signer = opened(Path(name))
            burst(Path(name), signer, range(count), one_revision=one_revision)
            for step, does in (("take in", intake), ("judge", judging)):
                cpu, wall = (1000 * seconds / count for seconds in timed(does, flywheel))
                ratio = cpu / base.setdefault(step, cpu)
                told = f"CPU {cpu:6.2f} ms a build   ratio {ratio:5.2f} (target {MOST:.2f}, {wall:.2f} ms went by)"
                verdict = "ok" if ratio <= MOST else "MISSED"
                sys.stdout.write(f"{what}, {count:>6,} builds, {step:<8} {told} {verdict}\n")
                sys.stdout.flush()


def main() -> None:
    """Run all of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--builds", type=int, nargs="+", default=[1_000, 3_000, 10_000])
    parser.add_argument("--only", choices=["revisions", "revision"], help="a revision for each build, or one for all")
    chosen = parser.parse_args()
    for only, what in (("revisions", "a revision each"), ("revision", "all of one revision")):
        if chosen.only in {None, only}:
            contest(chosen.builds, what, one_revision=only == "revision")


if __name__ == "__main__":
    main()
