"""What is to be done next: wanted minus present, for every output. The sensor and the schedule only carry it out.

A tick is at least once and not atomic: it may be repeated after a crash at any point. So everything here is
decided from what evidence and Dagster hold now, and asking twice for the same thing gives the same run key.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import date, datetime

import dagster as dg

from flywheel_assets.catalog.models import Output
from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.dispatches import Dispatch, DispatchState
from flywheel_assets.domain.errors import FlywheelError
from flywheel_assets.gate.case import trusted_keys
from flywheel_assets.orchestration.keys import (
    JUDGES_TAG,
    PUBLISHES_TAG,
    RANGE_TAG,
    REREAD_TAG,
    Stage,
    asset_key,
    builds,
    builds_name,
)
from flywheel_assets.orchestration.metadata import build_metadata
from flywheel_assets.orchestration.shown import Shown, shown_bases, shown_receipts, worth_reading_again
from flywheel_assets.promotion.dispatches import last_dispatches
from flywheel_assets.promotion.disputes import DISAGREEMENTS
from flywheel_assets.promotion.failures import goes_first
from flywheel_assets.promotion.flakes import asked_of_another
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.intake import DECISIONS, TESTS, never, output_log
from flywheel_assets.promotion.ledger import assemble, builds_of, last_verdicts, publications, remember_receipts
from flywheel_assets.promotion.platform_log import PLATFORM_LOGS
from flywheel_assets.promotion.reading import one_reading

NEW_BUILDS_A_TICK = 150  # 200 events, keys and runs took 25 s of a tick's 60 s
CHECKED_A_TICK = 500  # builds that Dagster knows, of one output; those of a larger one take turns
SINGLE_RUNS = 3
NEXT = "/"  # in a cursor: the output that the last tick did not come to
UNTIL = "~"  # in a cursor: between a state and the time at which it holds no longer
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


def wanted(
    flywheel: Flywheel,
    instance: dg.DagsterInstance,
    settled: dict[str, str],
    *,
    reconciling: date | None = None,
    trying_again: bool = False,
    single_runs: int = SINGLE_RUNS,
    enough: Callable[[], bool] = never,
) -> Wanted:
    """Everything that is missing in Dagster or not judged on the evidence of now, as far as ``enough`` lets it come.

    ``settled`` is what the last call left in its own: for each output, at which state of the evidence nothing was left
    to do, or how far it has come with it. Settled outputs are passed over, and the others are gone on with. A
    reconciliation passes over nothing, and reads again what a cache could not serve; it is through with an output that
    is settled. With ``trying_again``, as in a reconciliation, what failed too often is asked for once more. More than
    ``single_runs`` builds of one output are judged in one run over a range.
    """
    found, flywheel = Wanted(), one_reading(flywheel)
    for name in _in_turn(list(flywheel.catalogue.outputs), settled.get(NEXT, "")):
        if enough():
            found.settled.setdefault(NEXT, name)
            found.settled |= {key: settled[key] for key in (name, _progress(name)) if key in settled}
            continue
        try:
            state = _state(flywheel, name, flywheel.output(name))
            if _is_settled(settled.get(name, ""), reconciling.isoformat() if reconciling else state, flywheel.clock()):
                found.settled[name] = settled[name]
                continue
            requests = _Requests(instance, found, reconciling, single_runs, trying_again=trying_again)
            place = Place.read(settled.get(_progress(name), ""), state, reconciling)
            place = _of_output(flywheel, instance, name, found, requests, place, enough)
            if place.left == 0:
                found.settled[name] = place.state if reconciling else place.settled
            else:
                found.settled[_progress(name)] = str(place)
        except FlywheelError as error:
            found.problems.append(f"{name}: {error}")
    return found


def is_through(flywheel: Flywheel, found: Wanted) -> bool:
    """Whether a reconciliation has nothing left to look at; what is damaged does not hold it up."""
    return NEXT not in found.settled and not any(
        _progress(name) in found.settled for name in flywheel.catalogue.outputs
    )


def _in_turn(names: list[str], first: str) -> list[str]:
    """The names, from the one that the last call did not come to."""
    start = names.index(first) if first in names else 0
    return names[start:] + names[:start]


def _progress(name: str) -> str:
    return f"/{name}"  # no output is called so


@dataclass(frozen=True, slots=True)
class Place:
    """How far a round over an output's builds has come: the next one, and how many are left; None: all of them.

    ``until`` is when time alone will change a verdict on one of those that had their turn; empty for never.
    """

    state: str
    next: int = 0
    left: int | None = None
    until: str = ""

    @classmethod
    def read(cls, text: str, state: str, reconciling: date | None) -> "Place":
        """From a cursor. New evidence begins a round anew, and where the last one was: so each build has its turn."""
        before, _, numbers = text.rpartition("@")
        of, _, until = before.partition(UNTIL)
        first, _, rest = numbers.partition("+")
        start = int(first) if first.isdecimal() else 0
        of_now = reconciling.isoformat() if reconciling else state
        if of != of_now or not rest.isdecimal():
            return cls(of_now, start)
        return cls(of_now, start, int(rest), until)

    def __str__(self) -> str:
        """As ``read`` takes it."""
        return f"{self.settled}@{self.next}+{'' if self.left is None else self.left}"

    @property
    def settled(self) -> str:
        """What is to be remembered of an output once nothing is left to do, and until when that holds."""
        return f"{self.state}{UNTIL}{self.until}" if self.until else self.state

    def window(self, keys: list[str]) -> list[str]:
        """The builds whose turn it is."""
        start = self.next if self.next < len(keys) else 0
        return keys[start : start + min(CHECKED_A_TICK, len(keys) if self.left is None else self.left)]

    def after(self, checked: list[Shown], keys: int, *, is_quiet: bool) -> "Place":
        """Once ``checked`` builds had their turn. With something to do among them the whole round is repeated."""
        start = self.next if self.next < keys else 0
        left = keys if self.left is None else min(self.left, keys)
        moments = [shown.until for shown in checked if shown.until is not None]
        moments += [datetime.fromisoformat(self.until)] if self.until else []
        until = min(moments).isoformat() if moments else ""
        return Place(self.state, start + len(checked), max(left - len(checked), 0) if is_quiet else None, until)


def _is_settled(remembered: str, state: str, now: datetime) -> bool:
    """Whether nothing was left to do at this state, and no moment has come since."""
    of, _, until = remembered.partition(UNTIL)
    return of == state and not (until and now >= datetime.fromisoformat(until))


def _state(flywheel: Flywheel, name: str, output: Output) -> str:
    """Changes whenever evidence that can bear on this output's verdicts, or its part of the catalogue, changes."""
    product = flywheel.catalogue.products.get(output.product or "")
    others = {*flywheel.catalogue.built_from(name), *([product.canonical] if product and product.canonical else [])}
    logs = [TESTS, DECISIONS, DISAGREEMENTS, *(output_log(each) for each in sorted({name, *others}))]
    if flywheel.catalogue.source_of(output.repository) is not None:
        logs += [log for log in flywheel.evidence.logs() if log.startswith(PLATFORM_LOGS)]
    lengths = [len(flywheel.evidence.entries(log)) for log in logs]
    # Numbers that stand for each other's change: a log only ever grows.
    return f"{flywheel.catalogue.digest_for(name)}:{sum(lengths)}"


def _of_output(  # noqa: PLR0917 - what is known of a tick, and of one output in it
    flywheel: Flywheel,
    instance: dg.DagsterInstance,
    name: str,
    found: Wanted,
    requests: "_Requests",
    place: Place,
    enough: Callable[[], bool],
) -> Place:
    """Add what one output wants: of builds that Dagster does not know yet, and of those whose turn it is.

    A process that has just started opens their receipts first, over several calls where there are very many.
    """
    if not remember_receipts(flywheel, name, enough):
        return place
    before = len(found.runs) + len(found.events)
    keys = [str(build) for build in builds_of(flywheel, name)]
    present = set(instance.get_dynamic_partitions(builds_name(name)))
    unseen = [key for key in keys if key not in present]
    new = unseen[: max(0, NEW_BUILDS_A_TICK - len(found.events))]
    known = [key for key in keys if key in present]
    turn = place.window(known)
    shown = shown_bases(instance, flywheel, name, [*new, *turn], enough)
    checked = list(shown)
    if added := [key for key in new if key in shown]:
        found.partitions[name] = added
    ready = sorted(checked, key={key: number for number, key in enumerate(keys)}.__getitem__)
    found.events += _builder_run_events(flywheel, instance, name, ready)
    stale = [key for key in ready if not shown[key].up_to_date]
    if requests.reconciling:
        again = [key for key in ready if worth_reading_again(flywheel, name, BuildKey.parse(key))]
        stale += [key for key in again if key not in stale]
    judging = requests.judge(flywheel, name, stale, {key: shown[key].current for key in stale})
    if not judging:
        requests.publish(flywheel, name, [key for key in known + added if key not in stale])
    is_quiet = len(found.runs) + len(found.events) == before and not requests.under_way and not unseen
    return place.after(
        [shown[key] for key in turn if key in shown], len(known), is_quiet=is_quiet or requests.reconciling is not None
    )


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
        for _, key, basis in sorted(_to_publish(flywheel, name, keys, materialized)):
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


def _to_publish(
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
        if key in published:
            # Under another name than the runs that failed before somebody published it by hand.
            yield False, key, f"{recorded.basis} published"
        elif not recorded.verdict.publishable:
            continue
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
