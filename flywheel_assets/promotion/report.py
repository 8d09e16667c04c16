"""The report: one row for every build that ever arrived, and for what could not become one. Nothing is left out."""

from enum import StrEnum
from typing import Any

from flywheel_assets.catalog.models import Catalogue, Output, PublicationTarget
from flywheel_assets.domain.builds import BuildKey, Closed
from flywheel_assets.domain.dispatches import Dispatch, DispatchState
from flywheel_assets.domain.errors import EvidenceError
from flywheel_assets.domain.verdicts import Verdict, VerdictClass
from flywheel_assets.gate.case import person
from flywheel_assets.ports import LogEntry
from flywheel_assets.promotion.blockers import DISTRUST, LACKING
from flywheel_assets.promotion.dispatches import last_dispatch, last_release, on_their_way
from flywheel_assets.promotion.failures import Cause, goes_first, last_failure
from flywheel_assets.promotion.flakes import asked_of_another
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.intake import closed, dead_letters, output_log, waiting_for_catalogue
from flywheel_assets.promotion.judging import is_settled
from flywheel_assets.promotion.ledger import builds_of, last_verdict, publications
from flywheel_assets.promotion.reading import one_reading
from flywheel_assets.promotion.waiting import REASONS, Said, against, said_of, who_stops
from flywheel_assets.promotion.went_out import Out, published
from flywheel_assets.promotion.yanking import how_to_yank, what_became

SCHEMA_VERSION = 1


class State(StrEnum):
    """How far along the lineage a build has come."""

    RECEIVED = "received"
    CACHED = "cached"
    VALIDATED = "validated"
    PUBLISHED = "published"
    YANKED = "yanked"
    TO_WITHDRAW = "to be withdrawn"
    TO_YANK = "to be yanked"
    WITHDRAWN = "withdrawn"
    REJECTED = "rejected"
    UNROUTED = "unrouted"


# Of what went out by a workflow: what its release is now.
_OUT = {
    DispatchState.RELEASED: State.PUBLISHED,
    DispatchState.WRONG_RELEASE: State.TO_YANK,
    DispatchState.YANKED: State.YANKED,
}


class Row(Closed):
    """One line of the report; the fields of `flywheel report --json` (docs/json.md).

    ``exception`` names those of the catalogue that alone let it pass, each with its end.
    """

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
    exception: str = ""


def published_builds(flywheel: Flywheel, output: str) -> dict[BuildKey, Out]:
    """What went out last of each build of which anything did. Raises EvidenceError."""
    return {out.publication.build: out for out in published(flywheel, output)}


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
        known = published_builds(flywheel, name)
        builds = sorted(builds_of(flywheel, name), key=str)
        return [row(flywheel, name, build, known.get(build)) for build in builds]
    except EvidenceError as error:
        return [unreadable(name, "?", str(error))]


def row(flywheel: Flywheel, name: str, build: BuildKey, out: Out | None, now: Verdict | None = None) -> Row:
    """The row of one build, from what is recorded; nothing is judged here.

    Of what is public the verdict of ``now`` counts, where it is known: what must be taken back waits for no record.
    """
    recorded = last_verdict(flywheel, name, build)
    if recorded is None:
        message = "it has arrived and is not judged yet"
        return _row(name, str(build), State.RECEIVED, VerdictClass.WAITING, "not-judged-yet", message=message)
    output, verdict = flywheel.output(name), now if now and out else recorded.verdict
    worst = verdict.worst
    state, said = _state(output, verdict), Said(worst.reason, worst.message, worst.remedy, worst.actor)
    last = last_release(flywheel, name, build) if out and _is_by_workflow(output) else None
    if out:
        state = _OUT[last.state] if last else State.PUBLISHED
    else:
        last = last_dispatch(flywheel, name, build)
    exception = excepted_by(flywheel.catalogue, verdict) if verdict.publishable else ""
    if out and (out.withdrawal or worst.reason == "withdrawn"):
        state, said = _withdrawn(out, said)
    elif worst.verdict is VerdictClass.PASSED:
        holds = f"every rule holds, by the exception {exception}" if exception else "every rule holds"
        said = Said("every-rule-holds", holds, "", "")
        if out and last and last.state is not DispatchState.RELEASED:
            said = said_of(flywheel, last)
        elif not out:
            state, said = _not_out(flywheel, name, build, last, (state, said))
    elif out and worst.rule == DISTRUST:
        message = f"{worst.message.removesuffix('.')}; still public at {out.publication.reference}"
        remedy = f"Take it back: `flywheel withdraw {name} {build}`. {worst.remedy}"
        said = said._replace(message=message, remedy=remedy)
    elif out and worst.verdict in LACKING and state is State.PUBLISHED:
        again = f"it is published, and would not go out a second time yet: {worst.message}"
        said = Said(worst.reason, again, "No action needed: what is public stays so.", "nobody")
    elif last and against(last)[0]:
        said = said_of(flywheel, last)
        state = _OUT[last.state] if out else State.TO_YANK if last.state.is_out else state
    return Row(
        output=name,
        build=str(build),
        state=state,
        verdict=worst.verdict.value,
        **said._asdict(),
        published_at=out.publication.reference if out and out.is_public else "",
        settled=is_settled(flywheel, recorded),
        exception=exception,
    )


def _is_by_workflow(output: Output) -> bool:
    return output.publication is not None and output.publication.flake is not None


def _not_out(
    flywheel: Flywheel, name: str, build: BuildKey, last: Dispatch | None, otherwise: tuple[State, Said]
) -> tuple[State, Said]:
    """Of what may go out and is on no record. Where no workflow publishes it any more: that one goes on, or has."""
    (state, said), output = otherwise, flywheel.output(name)
    if last and not _is_by_workflow(output) and against(last)[0]:
        says, remedy = against(last)
        message = f"the catalogue has no workflow publish it any more; {says}"
        told = Said(REASONS[last.state], message, remedy, who_stops(flywheel, last))
        return State.TO_YANK if last.state.is_out else state, told
    target = output.publication
    return state, (target and _why_not_published(flywheel, name, build, target, last)) or said


def excepted_by(catalogue: Catalogue, verdict: Verdict) -> str:
    """The exceptions that alone make it pass, each with its end; empty where every rule holds by itself."""
    named = (name for finding in verdict.findings for name in finding.exception.split(", ") if name)
    known = catalogue.exceptions
    ends = {name: f" until {known[name].until:%Y-%m-%d %H:%M} UTC" if name in known else "" for name in named}
    return ", ".join(f"{name}{end}" for name, end in ends.items())


def _withdrawn(out: Out, said: Said) -> tuple[State, Said]:
    """Of what people withdrew: whether it is gone, and who has to see to that."""
    withdrawal, why = out.withdrawal, said.message.removesuffix(".")
    if withdrawal is None:
        message = f"{why}; still public at {out.publication.reference}"
        remedy = "Run `flywheel withdraw --pending`."
        return State.TO_WITHDRAW, Said(said.reason, message, remedy, "A release engineer")
    message = f"{why}; {what_became(withdrawal)}"
    if not withdrawal.yanked_by:
        return State.WITHDRAWN, said._replace(message=message)
    how = how_to_yank(withdrawal)
    return State.TO_YANK, Said(said.reason, message, f"{how[:1].upper()}{how[1:]}.", withdrawal.yanked_by)


def on_demand(name: str, build: BuildKey) -> Said:
    """What is said of a build that may be published, and that a person publishes."""
    remedy = f"`flywheel promote {name} {build}`, or materialize it in the UI."
    return Said("promotion-on-demand", "every rule holds; it is promoted on demand", remedy, "a release engineer")


def _why_not_published(
    flywheel: Flywheel, name: str, build: BuildKey, target: PublicationTarget, last: Dispatch | None
) -> Said | None:
    """What is said of a build that may be published and is not; None where nothing is in its way."""
    failure = last_failure(flywheel, name, build)
    owner, by_hand = person(flywheel.catalogue, flywheel.output(name).owner), f"`flywheel promote {name} {build}`"
    is_on_demand = target.promotion == "on-demand"
    if failure:
        what = "Let its own workflow publish it" if failure.cause is Cause.AWAITS_WORKFLOW else "Mend what is said"
        others = "" if is_on_demand else ", and so do `flywheel run` and the daily reconciliation"
        remedy = f"{what}: {by_hand} tries it again{others}."
        message = f"every rule holds; since {failure.since:%Y-%m-%d %H:%M} UTC: {failure.error}: {failure.sentence}"
        return Said(failure.cause.value, message.removesuffix("."), remedy, owner)
    if last:
        return said_of(flywheel, last)
    if is_on_demand:
        return on_demand(name, build)
    first = goes_first(flywheel, name, build)
    if first:
        message = f"every rule holds; {first}, whose source is newer, was tried first and is not published yet"
        return Said("newer-build-goes-first", message, f"See `flywheel why-not {name} {first}`.", owner)
    on_its_way = on_their_way(flywheel, name, build) if target.flake else None
    if on_its_way:
        message = f"every rule holds; {on_its_way} is on its way, and its workflow is asked for one build at a time"
        return Said("another-build-goes-first", message, f"See `flywheel why-not {name} {on_its_way}`.", owner)
    asked = asked_of_another(flywheel, name, build)
    return said_of(flywheel, asked) if asked else None


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
        earlier_ones = {str(publication.build): publication.reference for publication in publications(flywheel, output)}
        earlier = ", and an earlier catalogue published it" if build in earlier_ones else ""
        rows.append(
            _row(
                output,
                build,
                State.UNROUTED,
                VerdictClass.CANNOT_DETERMINE,
                "unknown-output",
                message=f"the catalogue knows no such output{earlier}; its receipt is kept",
                published_at=earlier_ones.get(build, ""),
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
