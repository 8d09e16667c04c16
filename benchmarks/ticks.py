"""What a tick costs while nothing changes, and which of many builds of one output are judged again once something does.

The builds are judged without Dagster, which is then told of their verdicts as runs would tell it; none of them is to be
published. What is timed are ticks of ``pick_up_builds`` as the daemon carries them out, but for their runs: with
nothing new, after a second opinion on one build, and after the catalogue changed for another output. Printed is how
long they took until nothing was left to ask for, and of how many builds a verdict was asked for.
"""

import argparse
import logging
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg

from flywheel_assets.adapters.signatures.keys import DsseSigner, key_file
from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.limits import Limits
from flywheel_assets.orchestration.keys import JUDGES_TAG, Stage, asset_key
from flywheel_assets.orchestration.requests import RANGE_START
from flywheel_assets.orchestration.sensors import pick_up_builds
from flywheel_assets.promotion.intake import take_in
from flywheel_assets.promotion.judging import judge
from flywheel_assets.promotion.ledger import builds_of
from flywheel_assets.promotion.reading import one_reading
from flywheel_assets_tests.orchestration.bench import Bench, bench
from flywheel_assets_tests.orchestration.bursts import FIRST_RUN, ONE, burst, trusted
from flywheel_assets_tests.promotion.installation import resigned

OUTPUT = "tide-clock"
PASS = 300
BOTH = 2  # the build of which there is a second opinion, and that


def settled(opened: Bench) -> None:
    """Everything that was delivered, in evidence, judged, and shown."""
    flywheel = replace(opened.flywheel, limits=Limits())
    while take_in(flywheel).total:
        pass
    builds = builds_of(flywheel, OUTPUT)
    for start in range(0, len(builds), PASS):
        one_pass = one_reading(flywheel)
        for build in builds[start : start + PASS]:
            show(opened, build, str(judge(one_pass, OUTPUT, build).recorded.basis))
    ticks(opened)


def show(opened: Bench, build: BuildKey, basis: str) -> None:
    """Tell Dagster of a verdict, as a run does."""
    asset = asset_key(Stage.VALIDATED_ARTIFACT, OUTPUT)
    observed = dg.AssetObservation(asset, partition=str(build), metadata={"basis": basis})
    opened.instance.report_runless_asset_event(observed)


def ticks(opened: Bench) -> tuple[int, list[str]]:
    """Tick until nothing is new: how many that took, and the builds that a verdict was asked for."""
    asked: list[str] = []
    for number in range(1, 1000):
        before, result = opened.cursors.get(pick_up_builds.name), opened.ask()
        opened.report_events(result)
        opened.add_partitions(result)
        opened.cursors[pick_up_builds.name] = result.cursor
        for request in result.run_requests or []:
            if JUDGES_TAG in request.tags:
                asked.append(request.partition_key or f"from {request.tags[RANGE_START]}")
                if request.partition_key:
                    build = BuildKey.parse(request.partition_key)
                    show(opened, build, str(judge(opened.flywheel, OUTPUT, build).recorded.basis))
        if result.cursor == before and not result.asset_events:
            return number, asked
    raise SystemExit("it never comes to an end")


def second_opinion(opened: Bench, signer: DsseSigner) -> None:
    """A delivery by another run from the revision of the first build, which says something else."""

    def tell_it(statement: dict[str, Any]) -> None:
        build = statement["predicate"]["buildDefinition"]
        build["internalParameters"]["run"]["id"] = str(FIRST_RUN - 1)
        for dependency in build["resolvedDependencies"]:
            if dependency["name"] == "source":
                dependency["digest"]["gitCommit"] = f"{0:040x}"

    inbox = opened.settings.home / "sample" / "inbox"
    (inbox / "second.json").write_bytes(resigned((inbox / f"{ONE}.json").read_bytes(), signer, tell_it))


def change(opened: Bench, name: str, **changes: Any) -> None:
    """Another catalogue, as after a restart."""
    catalogue = opened.flywheel.catalogue
    outputs = {**catalogue.outputs, name: catalogue.outputs[name].model_copy(update=changes)}
    opened.flywheel = replace(opened.flywheel, catalogue=catalogue.model_copy(update={"outputs": outputs}))
    opened._definitions.clear()  # noqa: SLF001 - of the catalogue before


def unpublished(opened: Bench) -> None:
    """Nothing goes out by itself: what would be asked for is verdicts alone."""
    target = opened.flywheel.output(OUTPUT).publication
    if target is not None:
        change(opened, OUTPUT, publication=target.model_copy(update={"promotion": "on-demand"}))


def tell(what: str, opened: Bench, does: Callable[[], object]) -> list[str]:
    """One line, and the builds that are judged again."""
    does()
    begun = time.monotonic()
    number, asked = ticks(opened)
    seconds = time.monotonic() - begun
    sys.stdout.write(
        f"{what:<34} {number:>3} ticks, {1000 * seconds / number:7.0f} ms each, {len(asked)} judged again\n"
    )
    sys.stdout.flush()
    return asked


def main() -> None:
    """Run it; exit code 1 when more is judged again than had to be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--builds", type=int, default=2_000)
    count = parser.parse_args().builds
    logging.disable(logging.INFO)  # a line for each tick
    with tempfile.TemporaryDirectory(prefix="ticks-bench-") as name:
        home = Path(name)
        with bench(home, ONE) as made:
            signer = key_file(home / "burst.pem")
            opened = trusted(made, signer)
            unpublished(opened)
            burst(home, signer, range(count))
            begun = time.monotonic()
            settled(opened)
            sys.stdout.write(f"{count:,} builds judged and shown in {time.monotonic() - begun:.0f} s\n")
            quiet = tell("nothing new", opened, lambda: None)
            woken = tell("a second opinion on one build", opened, lambda: second_opinion(opened, signer))
            other = tell(
                "another output's catalogue entry",
                opened,
                partial(change, opened, "sounding-line", consumption="Other."),
            )
    sys.exit(bool(quiet or other or len(woken) > BOTH))


if __name__ == "__main__":
    main()
