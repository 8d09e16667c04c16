"""How long what-if and replay take over many builds of one output, beside judging these builds one by one.

The evidence store is generated: a receipt and a reading of the cache for each build, signed and logged as they are in
use. What-if checks every signature anew: under the other catalogue the builder has another key as well, the output
another validation. Judging is the use case that runs and the CLI call, caches aside; it writes verdicts,
which replay then makes again.

Targets: what-if over 10,000 builds within 60 s on two cores, and a verdict within 5 ms without I/O.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from flywheel_assets.adapters.signatures.keys import DsseSigner, key_file
from flywheel_assets.catalog.models import Catalogue
from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.statements import canonical
from flywheel_assets.gate.evaluate import evaluate
from flywheel_assets.promotion.assembling import assemble
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.intake import RECEIPT, output_log
from flywheel_assets.promotion.judging import judge
from flywheel_assets.promotion.ledger import INSPECTION, builds_of, record
from flywheel_assets.promotion.reading import one_reading
from flywheel_assets.promotion.recipes import recipe_of
from flywheel_assets.promotion.replaying import Outcome, Replayed, replay
from flywheel_assets.promotion.what_if import Change, what_if
from flywheel_assets.wiring import SAMPLE, SAMPLE_CATALOGUE, Settings, open_flywheel
from flywheel_assets_tests.promotion.installation import resigned, trusting

OUTPUT, ONE, FIRST_RUN = "tide-clock", "14402201001-tide-clock", 15_000_000_000
PASS = 300  # builds that a run judges
SECONDS_FOR_TEN_THOUSAND, MILLISECONDS_A_VERDICT = 60, 5


def opened(home: Path) -> tuple[Flywheel, DsseSigner]:
    """The sample with an empty inbox, and a builder's key that its catalogue trusts."""
    flywheel, signer = open_flywheel(Settings(home, SAMPLE_CATALOGUE)), key_file(home / "builder.pem")
    return replace(flywheel, catalogue=trusting("tinyland-nix", signer, flywheel.catalogue)), signer


def generate(flywheel: Flywheel, signer: DsseSigner, count: int) -> None:
    """A receipt for each build, of a run and a revision of its own, and a reading of the cache."""
    document = (SAMPLE / "inbox" / f"{ONE}.json").read_bytes()
    store, inspection = flywheel.evidence, None
    for number in range(count):

        def change(statement: dict[str, Any], number: int = number) -> None:
            build = statement["predicate"]["buildDefinition"]
            build["internalParameters"]["run"]["id"] = str(FIRST_RUN + number)
            for dependency in build["resolvedDependencies"]:
                if dependency["name"] == "source":
                    dependency["digest"]["gitCommit"] = f"{number:040x}"

        build = BuildKey(run=str(FIRST_RUN + number), attempt=1, system="x86_64-linux")
        store.append(output_log(OUTPUT), RECEIPT, str(build), store.put(resigned(document, signer, change)))
        if inspection is None:
            judge(flywheel, OUTPUT, build)
            inspection = assemble(flywheel, OUTPUT, build).inspections[0].inspection
        else:
            record(flywheel, OUTPUT, build, INSPECTION, inspection.model_copy(update={"build": build}))


def stricter(catalogue: Catalogue, signer: DsseSigner) -> Catalogue:
    """Another validation for the output, and a second key with every builder's: no signature is taken as checked."""
    output = catalogue.outputs[OUTPUT].model_copy(update={"validations": ("fuzzing",)})
    second = catalogue.keys["tinyland-nix"].model_copy(update={"public_key": signer.public_key})
    return catalogue.model_copy(
        update={"outputs": {**catalogue.outputs, OUTPUT: output}, "keys": {**catalogue.keys, "second": second}}
    )


def size_of(home: Path) -> int:
    """Bytes in the evidence store."""
    return sum(path.stat().st_size for path in (home / "evidence").rglob("*") if path.is_file())


def timed(does: Callable[[], object]) -> float:
    """Seconds that go by."""
    begun = time.monotonic()
    does()
    return time.monotonic() - begun


def tell(what: str, seconds: float, count: int, peer: float | None = None) -> None:
    """One line."""
    ratio = "" if peer is None else f"   {seconds / peer:.2f} of judging"
    sys.stdout.write(f"{count:>6,} builds, {what:<34} {seconds:7.1f} s, {1000 * seconds / count:6.2f} ms each{ratio}\n")
    sys.stdout.flush()


def judge_all(flywheel: Flywheel, builds: list[BuildKey]) -> None:
    """As runs over ranges do."""
    for start in range(0, len(builds), PASS):
        one_pass = one_reading(flywheel)
        for build in builds[start : start + PASS]:
            judge(one_pass, OUTPUT, build)


def contest(home: Path, count: int) -> bool:
    """All of it, over ``count`` builds; whether both targets are met."""
    flywheel, signer = opened(home)
    tell("generated", timed(lambda: generate(flywheel, signer, count)), count)
    before, fresh = size_of(home), opened(home)[0]
    builds = builds_of(fresh, OUTPUT)
    judging = timed(lambda: judge_all(fresh, builds))
    tell("judged one by one", judging, count)
    after = size_of(home)
    bundle = assemble(fresh, OUTPUT, builds[-1])
    recipe = len(canonical(recipe_of(bundle, fresh.catalogue, fresh.clock()).model_dump(mode="json")))
    sys.stdout.write(f"       store {before:,} bytes, with verdicts {after:,}; a recipe {recipe:,}\n")
    fresh = opened(home)[0]
    other, found = stricter(fresh.catalogue, signer), list[Change]()
    processes = len(os.sched_getaffinity(0))
    seconds = timed(lambda: found.extend(what_if(fresh, other, processes=processes).changes))
    tell("what-if, another catalogue", seconds, count, judging)
    if len(found) != count:
        raise SystemExit(f"only {len(found)} would change")
    fresh, again = opened(home)[0], list[Replayed]()
    replayed = timed(lambda: again.extend(replay(fresh, OUTPUT)))
    tell("replay", replayed, count, judging)
    if {each.outcome for each in again} != {Outcome.REPRODUCED}:
        raise SystemExit("not everything is reproduced")
    verdicts = timed(lambda: [evaluate(bundle, fresh.catalogue, fresh.clock()) for _ in range(500)])
    tell("one verdict, without I/O", verdicts, 500)
    return seconds / count <= SECONDS_FOR_TEN_THOUSAND / 10_000 and verdicts / 500 <= MILLISECONDS_A_VERDICT / 1000


def main() -> None:
    """Run it; exit code 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--builds", type=int, nargs="+", default=[1_000, 10_000])
    met = True
    for count in parser.parse_args().builds:
        with tempfile.TemporaryDirectory(prefix="what-if-bench-") as name:
            met &= contest(Path(name), count)
    sys.exit(not met)


if __name__ == "__main__":
    main()
