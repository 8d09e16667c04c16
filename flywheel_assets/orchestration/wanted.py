"""What is to be done next: wanted minus present, for every output. The sensor and the schedule only carry it out.

A tick is at least once and not atomic: it may be repeated after a crash at any point. So everything here is
decided from what evidence and Dagster hold now, and asking twice for the same thing gives the same run key.
"""

import hashlib
import json
from dataclasses import dataclass, field
from datetime import date

import dagster as dg

from flywheel_assets.catalog.models import Output
from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.errors import FlywheelError
from flywheel_assets.gate.case import trusted_keys
from flywheel_assets.orchestration.keys import (
    JUDGES_TAG,
    PUBLISHES_TAG,
    REREAD_TAG,
    Stage,
    asset_key,
    builds,
    builds_name,
)
from flywheel_assets.orchestration.metadata import build_metadata
from flywheel_assets.orchestration.shown import shown_bases, shown_receipts, worth_reading_again
from flywheel_assets.promotion.failures import goes_first
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.intake import TESTS, output_log
from flywheel_assets.promotion.ledger import assemble, builds_of, last_verdict, one_reading, publications

NEW_BUILDS_A_TICK = 150  # 200 events, keys and runs took 25 s of a tick's 60 s
SINGLE_RUNS = 3
ATTEMPTS = 3  # after that the daily reconciliation tries again
RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"


@dataclass(slots=True)
class Wanted:
    """What a tick asks Dagster for."""

    events: list[dg.AssetMaterialization] = field(default_factory=list)
    partitions: dict[str, list[str]] = field(default_factory=dict)
    runs: list[dg.RunRequest] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    settled: dict[str, str] = field(default_factory=dict)


def wanted(
    flywheel: Flywheel,
    instance: dg.DagsterInstance,
    settled: dict[str, str],
    *,
    reconciling: date | None = None,
    trying_again: bool = False,
    single_runs: int = SINGLE_RUNS,
) -> Wanted:
    """Everything that is missing in Dagster or not judged on the evidence of now.

    ``settled`` says, for each output, at which state of the evidence nothing was left to do; such outputs are
    passed over. A reconciliation passes over nothing, and reads again what a cache could not serve. With
    ``trying_again``, as in a reconciliation, what failed too often is asked for once more. More than
    ``single_runs`` builds of one output are judged in one run over a range.
    """
    found, flywheel = Wanted(), one_reading(flywheel)
    for name, output in flywheel.catalogue.outputs.items():
        try:
            state = _state(flywheel, name, output)
            if reconciling is None and settled.get(name) == state:
                found.settled[name] = state
                continue
            before = len(found.runs) + len(found.events)
            requests = _Requests(instance, found, reconciling, single_runs, trying_again=trying_again)
            unfinished = _of_output(flywheel, instance, name, found, requests)
            if len(found.runs) + len(found.events) == before and not unfinished:
                found.settled[name] = state
        except FlywheelError as error:
            found.problems.append(f"{name}: {error}")
    return found


def _state(flywheel: Flywheel, name: str, output: Output) -> str:
    """Changes whenever evidence that can bear on this output's verdicts, or the catalogue, changes."""
    logs = [output_log(name), TESTS, *(output_log(other) for other in output.built_from)]
    lengths = [len(flywheel.evidence.entries(log)) for log in logs]
    return f"{flywheel.catalogue.digest}:{'.'.join(map(str, lengths))}"


def _of_output(
    flywheel: Flywheel, instance: dg.DagsterInstance, name: str, found: Wanted, requests: "_Requests"
) -> bool:
    """Add what one output wants; True when runs for it are still under way."""
    keys = [str(build) for build in builds_of(flywheel, name)]
    present = set(instance.get_dynamic_partitions(builds_name(name)))
    unseen = [key for key in keys if key not in present]
    new = unseen[: max(0, NEW_BUILDS_A_TICK - len(found.events))]
    if new:
        found.partitions[name] = new
    ready = [key for key in keys if key in present or key in new]
    found.events += _builder_run_events(flywheel, instance, name, ready)
    shown = shown_bases(instance, flywheel, name, ready)
    stale = [key for key in ready if not shown[key].up_to_date]
    if requests.reconciling:
        again = [key for key in ready if worth_reading_again(flywheel, name, BuildKey.parse(key))]
        stale += [key for key in again if key not in stale]
    judging = requests.judge(flywheel, name, stale, {key: shown[key].current for key in stale})
    if not judging:
        requests.publish(flywheel, name, [key for key in ready if key not in stale])
    return requests.under_way or len(unseen) > len(new)


def _builder_run_events(
    flywheel: Flywheel, instance: dg.DagsterInstance, name: str, keys: list[str]
) -> list[dg.AssetMaterialization]:
    """A report of each build whose receipt the UI does not show: the authentic one, once it has come."""
    asset, repository = asset_key(Stage.BUILDER_RUN, name), flywheel.output(name).repository
    shown, events = shown_receipts(instance, asset, keys), []
    for key in keys:
        receipts = assemble(flywheel, name, BuildKey.parse(key)).receipts
        if not receipts or shown.get(key) == str(receipts[0].evidence):
            continue
        attested = receipts[0]
        authentic = bool(trusted_keys(flywheel.catalogue, attested))
        events.append(
            dg.AssetMaterialization(
                asset,
                partition=key,
                description="Reported from its receipt"
                + (
                    ", whose signer is trusted."
                    if authentic
                    else ", which nobody trusted signed: none of this is proven."
                ),
                metadata={
                    "receipt": str(attested.evidence),
                    "authentic": authentic,
                    **build_metadata(attested.receipt, repository),
                },
                tags={"dagster/data_version": str(attested.receipt.artifact.digest)},
            )
        )
    return events


class _Requests:
    """Turns wants into run requests, each at most once at a time and a few times in all."""

    def __init__(
        self,
        instance: dg.DagsterInstance,
        found: Wanted,
        reconciling: date | None,
        single_runs: int,
        *,
        trying_again: bool,
    ) -> None:
        self._instance = instance
        self._found = found
        self._single_runs = single_runs
        self._trying_again = trying_again or reconciling is not None
        self.reconciling = reconciling
        self.under_way = False

    def judge(self, flywheel: Flywheel, name: str, keys: list[str], bases: dict[str, str]) -> bool:
        """Ask for verdicts; False when there is nothing left that another run could settle."""
        stages = [Stage.CACHE_ENTRY, *([Stage.VALIDATED_ARTIFACT] if flywheel.output(name).is_candidate else [])]
        selection = [asset_key(stage, name) for stage in stages]
        if len(keys) > self._single_runs:
            # Keys are ranged in the order in which they were added, which is not the order of their names.
            order = [*self._instance.get_dynamic_partitions(builds_name(name)), *self._found.partitions.get(name, [])]
            ordered = sorted(keys, key=order.index)
            subject = f"{name} {ordered[0]}..{ordered[-1]} {_short(''.join(bases[key] for key in ordered))}"
            tags = {RANGE_START: ordered[0], RANGE_END: ordered[-1]}
            return self._request(JUDGES_TAG, subject, selection, None, tags)
        asked = [self._request(JUDGES_TAG, f"{name} {key} {_short(bases[key])}", selection, key, {}) for key in keys]
        return any(asked)

    def publish(self, flywheel: Flywheel, name: str, keys: list[str]) -> None:
        """Ask for the earliest build that may go out on its own, and for all that evidence says is published.

        One at a time: what a publication changes for the next build must be judged first. One that fails again
        and again does not hold up those of newer source; those of older wait for it.
        """
        target = flywheel.output(name).publication
        if target is None:
            return
        published = {str(publication.build) for publication in publications(flywheel, name)}
        materialized = self._instance.get_materialized_partitions(asset_key(Stage.PUBLISHED_ARTIFACT, name))
        waiting = []
        for key in keys:
            recorded = last_verdict(flywheel, name, BuildKey.parse(key))
            # Dagster's word alone counts for nothing: anybody can report a materialization to its webserver.
            if recorded is None or (key in published and key in materialized):
                continue
            if key in published:
                # Under another name than the runs that failed before somebody published it by hand.
                waiting.append((False, key, f"{recorded.basis} published"))
            elif (
                target.promotion == "automatic"
                and recorded.verdict.publishable
                and not goes_first(flywheel, name, BuildKey.parse(key))
            ):
                waiting.append((True, key, str(recorded.basis)))
        selection = [asset_key(Stage.PUBLISHED_ARTIFACT, name)]
        for _, key, basis in sorted(waiting):
            if self._request(PUBLISHES_TAG, f"{name} {key} {_short(basis)}", selection, key, {}):
                break

    def _request(
        self, tag: str, subject: str, selection: list[dg.AssetKey], key: str | None, tags: dict[str, str]
    ) -> bool:
        """Whether a run was asked for that has not failed too often, or is under way."""
        earlier = self._instance.get_runs(filters=dg.RunsFilter(tags={tag: subject}))
        if any(not run.is_finished for run in earlier):
            self.under_way = True
            return True
        day = f" {self.reconciling.isoformat()}" if self.reconciling else ""
        exhausted = len(earlier) >= ATTEMPTS
        if exhausted and not self._trying_again:
            self._found.problems.append(_unsettled(tag, subject, len(earlier)))
            return False
        reread = {REREAD_TAG: "true"} if self.reconciling else {}
        run_key = f"{tag} {subject} {len(earlier) + 1}{day}"
        self._found.runs.append(
            dg.RunRequest(
                run_key=run_key, asset_selection=selection, partition_key=key, tags={tag: subject, **reread, **tags}
            )
        )
        return not exhausted


def _unsettled(tag: str, subject: str, runs: int) -> str:
    what = subject.rpartition(" ")[0]
    where = f"`flywheel why-not {what}` says" if tag == PUBLISHES_TAG else "The newest of them, in the UI, says"
    doing = "publishing" if tag == PUBLISHES_TAG else "judging"
    return (
        f"{doing} {what} failed in {runs} runs. {where} why; once that is mended, `flywheel run` tries it again, "
        "and so does the daily reconciliation."
    )


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def read_cursor(cursor: str | None) -> dict[str, str]:
    """The settled states that a cursor holds; none when it is not ours."""
    try:
        value = json.loads(cursor or "{}")
    except ValueError:
        return {}
    return {str(key): str(state) for key, state in value.items()} if isinstance(value, dict) else {}


def add_requests(found: Wanted) -> list[dg.AddDynamicPartitionsRequest]:
    """The partitions to add."""
    return [builds(name).build_add_request(keys) for name, keys in found.partitions.items()]
