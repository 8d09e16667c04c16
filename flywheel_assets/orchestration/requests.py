"""Which runs are asked for: each at most once at a time, and a few times in all. For verdicts, and for publications."""

import hashlib
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import date

import dagster as dg

from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.dispatches import Dispatch, DispatchState
from flywheel_assets.orchestration.keys import (
    JUDGES_TAG,
    PUBLISHES_TAG,
    RANGE_TAG,
    REREAD_TAG,
    Stage,
    asset_key,
    builds_name,
)
from flywheel_assets.promotion.dispatches import last_dispatches
from flywheel_assets.promotion.failures import goes_first
from flywheel_assets.promotion.flakes import asked_of_another
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.ledger import last_verdicts, publications

SINGLE_RUNS = 3
JUDGED_A_RUN = 300  # a run over 100 builds takes 12 s, and its events slow down past about 1,000
ATTEMPTS = 3  # after that the daily reconciliation tries again
FINISHED = {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}
UNFINISHED = [status for status in dg.DagsterRunStatus if status not in FINISHED]
RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"


@dataclass(slots=True)
class Wanted:
    """What a tick asks Dagster for."""

    events: list[dg.AssetMaterialization] = field(default_factory=list)
    partitions: dict[str, list[str]] = field(default_factory=dict)
    runs: list[dg.RunRequest] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    settled: dict[str, str] = field(default_factory=dict)


class Requests:
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
            if self._is_ranging(name):
                self.under_way = True
                return True
            # Keys are ranged in the order in which they were added, which is not the order of their names.
            order = [*self._instance.get_dynamic_partitions(builds_name(name)), *self._found.partitions.get(name, [])]
            ordered = sorted(keys, key={key: place for place, key in enumerate(order)}.__getitem__)[:JUDGED_A_RUN]
            subject = f"{name} {ordered[0]}..{ordered[-1]} {_short(''.join(bases[key] for key in ordered))}"
            tags = {RANGE_START: ordered[0], RANGE_END: ordered[-1], RANGE_TAG: name}
            return self._request(JUDGES_TAG, subject, selection, None, tags)
        asked = [self._request(JUDGES_TAG, f"{name} {key} {_short(bases[key])}", selection, key, {}) for key in keys]
        return any(asked)

    def _is_ranging(self, name: str) -> bool:
        """Whether a range of this output is being judged: another would wait for its pool, and overlap with it."""
        filters = dg.RunsFilter(tags={RANGE_TAG: name}, statuses=UNFINISHED)
        return self._instance.get_runs_count(filters=filters) > 0

    def publish(self, flywheel: Flywheel, name: str, keys: list[str]) -> None:
        """Ask for the earliest build that may go out on its own, and for all that evidence says is published.

        One at a time: what a publication changes for the next build must be judged first. One that fails again
        and again does not hold up those of newer source; those of older wait for it.
        """
        if flywheel.output(name).publication is None:
            return
        materialized = self._instance.get_materialized_partitions(asset_key(Stage.PUBLISHED_ARTIFACT, name))
        selection = [asset_key(Stage.PUBLISHED_ARTIFACT, name)]
        for _, key, basis in sorted(to_publish(flywheel, name, keys, materialized)):
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


def to_publish(
    flywheel: Flywheel, name: str, keys: list[str], materialized: AbstractSet[str]
) -> Iterator[tuple[bool, str, str]]:
    """What a run is to publish or to put on record: whether it is new, its key, and what the run is named after."""
    published = {str(publication.build) for publication in publications(flywheel, name)}
    dispatched, verdicts = _dispatched(flywheel, name), last_verdicts(flywheel, name)
    target = flywheel.output(name).publication
    goes_out = target and target.promotion == "automatic" and not any(d.state.is_open for d in dispatched.values())
    for key in keys:
        # Dagster's word alone counts for nothing: anybody can report a materialization to its webserver.
        if key not in verdicts or (key in published and key in materialized):
            continue
        recorded = verdicts[key]()
        if not recorded.verdict.publishable:
            continue  # and what was published and is withdrawn, the register shows
        if key in published:
            # Under another name than the runs that failed before somebody published it by hand.
            yield False, key, f"{recorded.basis} published"
        elif dispatch := dispatched.get(key):
            # A workflow is followed by a sensor, and what it released is put on record by a run.
            if dispatch.state is DispatchState.RELEASED:
                yield False, key, f"{recorded.basis} {dispatch.id} released"
        elif goes_out and _is_its_turn(flywheel, name, BuildKey.parse(key), dispatched):
            yield True, key, str(recorded.basis)


def _is_its_turn(flywheel: Flywheel, name: str, build: BuildKey, dispatched: dict[str, Dispatch]) -> bool:
    """Whether no newer source goes first, and no workflow was asked for the very same on behalf of another build."""
    asked = asked_of_another(flywheel, name, build, dispatched.values())
    return asked is None and not goes_first(flywheel, name, build)


def _dispatched(flywheel: Flywheel, name: str) -> dict[str, Dispatch]:
    """What workflows were asked for and took: whatever becomes of it, it is not asked for again from here."""
    found = last_dispatches(flywheel, name).items()
    return {str(build): last for build, last in found if last.state is not DispatchState.REFUSED}


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
