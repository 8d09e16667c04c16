"""Bursts: many builds of one output at once, signed by a builder that the catalogue trusts, and ticks in a process."""

import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg

from flywheel_assets.adapters.signatures.keys import DsseSigner, key_file
from flywheel_assets.domain.limits import Limits
from flywheel_assets.orchestration.sensors import pick_up_builds
from flywheel_assets_tests.orchestration.bench import Bench, bench
from flywheel_assets_tests.promotion.installation import resigned, trusting

ONE = "14402201001-tide-clock"
FIRST_RUN = 15_000_000_000


def burst(home: Path, signer: DsseSigner, numbers: Iterable[int], *, one_revision: bool = False) -> None:
    """A delivery for each number: a run of its own, from a revision of its own, or all from one."""
    inbox = home / "sample" / "inbox"
    document = (inbox / f"{ONE}.json").read_bytes()
    for number in numbers:

        def change(statement: dict[str, Any], number: int = number) -> None:
            build = statement["predicate"]["buildDefinition"]
            build["internalParameters"]["run"]["id"] = str(FIRST_RUN + number)
            for dependency in build["resolvedDependencies"]:
                if dependency["name"] == "source":
                    dependency["digest"]["gitCommit"] = f"{0 if one_revision else number:040x}"

        (inbox / f"burst-{number:05}.json").write_bytes(resigned(document, signer, change))


def trusted(opened: Bench, signer: DsseSigner) -> Bench:
    """The bench with a catalogue that trusts the signer of the burst."""
    catalogue = trusting("tinyland-nix", signer, opened.flywheel.catalogue)
    return replace(opened, flywheel=replace(opened.flywheel, catalogue=catalogue, limits=Limits(inbox_batch=40)))


def carry_out(opened: Bench, cursor: Path, sensor: dg.SensorDefinition = pick_up_builds) -> bool:
    """One tick as the daemon carries it out, but for its runs; False when it asked for nothing new."""
    opened.cursors[sensor.name] = cursor.read_text() if cursor.exists() else None
    result = opened.ask(sensor)
    opened.report_events(result)
    opened.add_partitions(result)
    cursor.write_text(result.cursor or "")
    for request in result.run_requests or []:
        tags = {name: text for name, text in request.tags.items() if not name.startswith("dagster/")}
        chosen = frozenset(request.asset_selection or ())
        opened.instance.create_run_for_job(
            opened.job, tags=tags, status=dg.DagsterRunStatus.STARTED, asset_selection=chosen
        )
    return bool(result.asset_events)


def instance_of(home: Path) -> dg.DagsterInstance:
    """The instance of a home, which outlives its processes."""
    folder = home / "instance"
    folder.mkdir(exist_ok=True)
    return dg.DagsterInstance.local_temp(str(folder))


def tick_for_ever(home: Path) -> None:
    """What a killed process does: ticks on its own home and instance until nothing new comes."""
    with bench(home, instance=instance_of(home)) as opened:
        trusting_bench = trusted(opened, key_file(home / "burst.pem"))
        while carry_out(trusting_bench, home / "cursor.json"):
            pass


if __name__ == "__main__":
    tick_for_ever(Path(sys.argv[1]))
