"""The report: one row for every build that ever arrived, and for what could not become one. Nothing is left out."""

from enum import StrEnum
from typing import Any

from flywheel_assets.catalog.models import Output, PublicationTarget
from flywheel_assets.domain.builds import BuildKey, Closed
from flywheel_assets.domain.dispatches import Dispatch, DispatchState
from flywheel_assets.domain.errors import EvidenceError
from flywheel_assets.domain.publications import Publication
from flywheel_assets.domain.verdicts import Verdict, VerdictClass
from flywheel_assets.gate.case import person
from flywheel_assets.ports import LogEntry
from flywheel_assets.promotion.dispatches import last_dispatch, on_their_way
from flywheel_assets.promotion.failures import Cause, goes_first, last_failure
from flywheel_assets.promotion.flakes import asked_of_another
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.intake import closed, dead_letters, output_log, waiting_for_catalogue
from flywheel_assets.promotion.judging import is_settled
from flywheel_assets.promotion.ledger import builds_of, last_verdict, publications, withdrawals
from flywheel_assets.promotion.reading import one_reading
from flywheel_assets.promotion.waiting import against, said_of

SCHEMA_VERSION = 1


class State(StrEnum):
    """How far along the lineage a build has come."""

    RECEIVED = "received"
    CACHED = "cached"
    VALIDATED = "validated"
    PUBLISHED = "published"
    YANKED = "yanked"
    REJECTED = "rejected"
    UNROUTED = "unrouted"


class Row(Closed):
    """One line of the report; the fields of `flywheel report --json` (docs/json.md)."""

    output: str
    build: str
    state: State
    verdict: str
    reason: str
    message: str
    remedy: str
    actor: str
    published_at: str
    settled: bool


def report(flywheel: Flywheel) -> list[Row]:
    """All rows: catalogued outputs in catalogue order, then what could not be routed, then dead letters."""
    flywheel = one_reading(flywheel)
    rows = [row for name in flywheel.catalogue.outputs for row in _rows(flywheel, name)]
    try:
        return rows + unrouted(flywheel)
    except EvidenceError as error:
        return [*rows, unreadable("?", "?", str(error))]


def as_json(flywheel: Flywheel, rows: list[Row]) -> dict[str, Any]:
    """The document that `flywheel report --json` prints."""
    return {
        "schema": SCHEMA_VERSION,
        "catalogue": {"name": flywheel.catalogue.name, "digest": str(flywheel.catalogue.digest)},
        "builds": [row.model_dump(mode="json") for row in rows],
    }


def _rows(flywheel: Flywheel, name: str) -> list[Row]:
    try:
        gone = {each.build for each in withdrawals(flywheel, name) if not each.yanked_by}
        published = {each.build: each for each in publications(flywheel, name) if each.build not in gone}
        builds = sorted(builds_of(flywheel, name), key=str)
        return [row(flywheel, name, build, published.get(build)) for build in builds]
    except EvidenceError as error:
        return [unreadable(name, "?", str(error))]


def row(flywheel: Flywheel, name: str, build: BuildKey, published: Publication | None) -> Row:
    """The row of one build, from what is recorded; nothing is judged here."""
    recorded = last_verdict(flywheel, name, build)
    if recorded is None:
        message = "it has arrived and is not judged yet"
        return _row(name, str(build), State.RECEIVED, VerdictClass.WAITING, "not-judged-yet", message=message)
    output, verdict = flywheel.output(name), recorded.verdict
    worst = verdict.worst
    state = _state(output, verdict)
    reason, message, remedy, actor = worst.reason, worst.message, worst.remedy, worst.actor
    by_workflow = output.publication is not None and output.publication.flake is not None
    last = last_dispatch(flywheel, name, build) if by_workflow else None
    if published:
        state = State.YANKED if last and last.state is DispatchState.YANKED else State.PUBLISHED
    if worst.verdict is VerdictClass.PASSED:
        target = output.publication
        reason, message = "every-rule-holds", "every rule holds"
        if published and last and last.state in {DispatchState.YANKED, DispatchState.WRONG_RELEASE}:
            reason, message, remedy, actor = said_of(flywheel, last)
        elif not published and target:
            reason, message, remedy, actor = _why_not_published(flywheel, name, build, target, last)
    elif last and (stop := against(last))[0]:
        message, remedy = f"{message}; {stop[0]}", f"{stop[1]} {remedy}".strip()
    return Row(
        output=name,
        build=str(build),
        state=state,
        verdict=worst.verdict.value,
        reason=reason,
        message=message,
        remedy=remedy,
        actor=actor,
        published_at=published.reference if published else "",
        settled=is_settled(flywheel, recorded),
    )


def _why_not_published(
    flywheel: Flywheel, name: str, build: BuildKey, target: PublicationTarget, last: Dispatch | None
) -> tuple[str, str, str, str]:
    """Reason, message, remedy and actor of a build that may be published and is not."""
    failure = last_failure(flywheel, name, build)
    owner, by_hand = person(flywheel.catalogue, flywheel.output(name).owner), f"`flywheel promote {name} {build}`"
    on_demand = target.promotion == "on-demand"
    if failure:
        what = "Let its own workflow publish it" if failure.cause is Cause.AWAITS_WORKFLOW else "Mend what is said"
        others = "" if on_demand else ", and so do `flywheel run` and the daily reconciliation"
        remedy = f"{what}: {by_hand} tries it again{others}."
        message = f"every rule holds; since {failure.since:%Y-%m-%d %H:%M} UTC: {failure.error}: {failure.sentence}"
        return failure.cause.value, message.removesuffix("."), remedy, owner
    if last:
        return said_of(flywheel, last)
    if on_demand:
        remedy = f"{by_hand}, or materialize it in the UI."
        return "promotion-on-demand", "every rule holds; it is promoted on demand", remedy, "a release engineer"
    first = goes_first(flywheel, name, build)
    if first:
        message = f"every rule holds; {first}, whose source is newer, was tried first and is not published yet"
        return "newer-build-goes-first", message, f"See `flywheel why-not {name} {first}`.", owner
    on_its_way = on_their_way(flywheel, name, build) if target.flake else None
    if on_its_way:
        message = f"every rule holds; {on_its_way} is on its way, and its workflow is asked for one build at a time"
        return "another-build-goes-first", message, f"See `flywheel why-not {name} {on_its_way}`.", owner
    asked = asked_of_another(flywheel, name, build)
    return said_of(flywheel, asked) if asked else ("every-rule-holds", "every rule holds", "", "")


def _state(output: Output, verdict: Verdict) -> State:
    if verdict.validated:
        return State.VALIDATED
    if verdict.worst.verdict is VerdictClass.WAITING:
        return State.CACHED if verdict.body_is_whole else State.RECEIVED
    # The lineage of what is no candidate ends at its cache entry: being there is all it can be.
    return State.CACHED if verdict.body_is_whole and not output.is_candidate else State.REJECTED


def unrouted(flywheel: Flywheel) -> list[Row]:
    """What could not be routed to an output, and what could not be read. Raises EvidenceError."""
    rows, done = [], closed(flywheel)
    for entry in waiting_for_catalogue(flywheel):
        if entry.number in done:
            continue
        output, _, build = entry.subject.partition(" ")
        if output in flywheel.catalogue.outputs and entry.evidence in {
            e.evidence for e in flywheel.evidence.entries(output_log(output))
        }:
            continue
        published = {str(publication.build): publication.reference for publication in publications(flywheel, output)}
        earlier = ", and an earlier catalogue published it" if build in published else ""
        rows.append(
            _row(
                output,
                build,
                State.UNROUTED,
                VerdictClass.CANNOT_DETERMINE,
                "unknown-output",
                message=f"the catalogue knows no such output{earlier}; its receipt is kept",
                published_at=published.get(build, ""),
                remedy=f"Add {output} under `outputs` (README, “Add an output”); the receipt is then judged.",
                actor="the catalogue's maintainers",
            )
        )
    return rows + [_dead_letter(entry) for entry in dead_letters(flywheel) if entry.number not in done]


def _dead_letter(entry: LogEntry) -> Row:
    return _row(
        "?",
        entry.subject.partition(": ")[0],
        State.UNROUTED,
        VerdictClass.CANNOT_DETERMINE,
        "unreadable-delivery",
        message=entry.subject,
        remedy=f"Mend what it names and deliver it again, whole; `flywheel intake explain {entry.number}` says more.",
        actor="the builder",
    )


def unreadable(output: str, build: str, problem: str) -> Row:
    """The row of what stands on evidence that cannot be read."""
    return _row(
        output,
        build,
        State.UNROUTED,
        VerdictClass.CANNOT_DETERMINE,
        "evidence-damaged",
        message=problem,
        remedy="Restore the evidence store from its backup.",
        actor="whoever runs the evidence store",
    )


def _row(output: str, build: str, state: State, verdict: VerdictClass, reason: str, **texts: str) -> Row:
    fields = {"message": "", "remedy": "", "actor": "", "published_at": "", **texts}
    return Row(output=output, build=build, state=state, verdict=verdict.value, reason=reason, settled=True, **fields)
