"""Why not, for one build or all builds of an output, judged on the evidence of now and without touching a cache."""

import re
from collections.abc import Mapping
from datetime import datetime

from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.decisions import Act
from flywheel_assets.domain.errors import PromotionRefusedError, UsageError
from flywheel_assets.domain.verdicts import Verdict
from flywheel_assets.gate.case import Case
from flywheel_assets.gate.decisions import may_decide
from flywheel_assets.gate.evaluate import evaluate
from flywheel_assets.gate.explain import explain, failed
from flywheel_assets.promotion.assembling import assemble
from flywheel_assets.promotion.awaiting import awaited_builds
from flywheel_assets.promotion.blockers import (
    DISTRUST,
    OLDER,
    Blocker,
    Ends,
    blockers_of,
    case_of,
    passes_at,
    passes_until,
)
from flywheel_assets.promotion.excuses import Awaited, Excuse
from flywheel_assets.promotion.failures import last_failure
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.intake import RECEIPT, output_log
from flywheel_assets.promotion.ledger import builds_of, verdicts_on
from flywheel_assets.promotion.reading import one_reading
from flywheel_assets.promotion.report import Row, State, on_demand, published_builds, report, row
from flywheel_assets.promotion.sought import where_sought
from flywheel_assets.promotion.steps import NOBODY_ACTS, Step, step, steps_of
from flywheel_assets.promotion.went_out import Out

DEEPEST = 4
_NAMED = re.compile(r"`flywheel why-not ([a-z0-9_-]+) ([^\s`]+)`")


def explain_builds(flywheel: Flywheel, output: str, build: BuildKey | None = None) -> list[Excuse]:
    """Explain the builds. Raises UsageError when there is no such output or build in evidence."""
    flywheel = one_reading(flywheel)
    if output not in flywheel.catalogue.outputs:
        waiting = [r for r in report(flywheel) if r.output == output and build in (None, _key(r))]
        if not waiting:
            raise UsageError(
                f"Neither the catalogue nor any receipt knows an output {output!r}. See `flywheel report`."
            )
        return [of_row(each) for each in waiting]
    known = sorted(builds_of(flywheel, output), key=str)
    if not known:
        raise UsageError(f"No build of {output} is in evidence yet. {where_sought(flywheel, output, build)}")
    if build is not None and build not in known:
        told = f"No build {build} of {output} is in evidence. Known: {', '.join(map(str, known))}."
        raise UsageError(f"{told} {where_sought(flywheel, output, build)}")
    published = published_builds(flywheel, output)
    return [excuse_of(flywheel, output, key, published) for key in known if build in (None, key)]


def _key(found: Row) -> BuildKey | None:
    try:
        return BuildKey.parse(found.build)
    except ValueError:
        return None


def of_row(found: Row) -> Excuse:
    """The excuse of what the gate does not know: of what could not be routed."""
    return Excuse(row=found, steps=_steps_of_row(found))


def excuse_of(
    flywheel: Flywheel,
    output: str,
    build: BuildKey,
    published: Mapping[BuildKey, Out],
    above: tuple[tuple[str, BuildKey], ...] = (),
) -> Excuse:
    """The excuse of one build; ``above`` are those that wait for it, so that no chain goes round in a circle."""
    bundle = assemble(flywheel, output, build)
    verdict = evaluate(bundle, flywheel.catalogue, flywheel.clock())
    case = case_of(bundle, flywheel.catalogue, verdict)
    found = _as_of_now(flywheel, row(flywheel, output, build, published.get(build), verdict), verdict)
    blockers, chain = blockers_of(case, verdict), (*above, (output, build))
    steps = _steps(case, blockers, found)
    is_let = verdict.publishable and found.verdict == verdict.verdict.value
    named = _NAMED.search(found.remedy) if is_let else None
    waiting = [(named[1], named[2], "")] if named else awaited_builds(flywheel, case, blockers)
    return Excuse(
        row=found,
        findings=verdict.findings,
        blockers=_with_who_acts(blockers, found, steps),
        steps=() if named else steps,
        waits_for=tuple(_awaited(flywheel, *each, chain) for each in waiting),
        since=_since(flywheel, verdict),
        passes_at=passes_at(case, blockers),
        passes_until=passes_until(case, verdict),
    )


def _as_of_now(flywheel: Flywheel, found: Row, verdict: Verdict) -> Row:
    """The row, that it does not go on saying what was judged before and is so no longer."""
    worst, target = verdict.worst, flywheel.output(verdict.output).publication
    if found.reason in {worst.reason, "not-judged-yet"} or found.verdict == verdict.verdict.value == "passed":
        return found
    said = {"reason": worst.reason, "message": worst.message, "remedy": worst.remedy, "actor": worst.actor}
    if verdict.publishable and target is not None and target.promotion == "on-demand" and not found.published_at:
        said = on_demand(verdict.output, verdict.build)._asdict()
    elif verdict.publishable:
        message = "every rule holds by now: the next run judges it again, and publishes it"
        said = {"reason": "every-rule-holds", "message": message, "remedy": "", "actor": ""}
    return found.model_copy(update=said)


def _steps(case: Case, blockers: tuple[Blocker, ...], found: Row) -> tuple[Step, ...]:
    """Of what is withdrawn and still public the one thing to do is to take it away, which no rule of the gate says."""
    if not blockers or found.state in {State.TO_WITHDRAW, State.TO_YANK}:
        return _steps_of_row(found)
    return (*_taking_back(case, blockers, found), *steps_of(case, blockers))


def _with_who_acts(blockers: tuple[Blocker, ...], found: Row, steps: tuple[Step, ...]) -> tuple[Blocker, ...]:
    """The blockers, naming those who can act: who yanks what is withdrawn, who may accept that it is older."""

    def named(blocker: Blocker) -> Blocker:
        if blocker.reason == found.reason and found.state in {State.TO_WITHDRAW, State.TO_YANK}:
            return blocker.model_copy(update={"remedy": found.remedy, "actor": found.actor, "ends": Ends.BY_AN_ACT})
        if blocker.reason == OLDER and steps:
            return blocker.model_copy(update={"actor": steps[0].people})
        return blocker

    return tuple(map(named, blockers))


def _taking_back(case: Case, blockers: tuple[Blocker, ...], found: Row) -> tuple[Step, ...]:
    """What is public and distrusted goes first: whoever may withdraw it does so."""
    if not found.published_at or all(blocker.rule != DISTRUST for blocker in blockers):
        return ()
    people = case.catalogue.people.values()
    may = [f"{each.name} ({each.contact})" for each in people if may_decide(each, Act.WITHDRAW, case.now)]
    what = f"run `flywheel withdraw {found.output} {found.build}`, for it is still public"
    return (Step(who=tuple(may) or ("whoever the catalogue lets withdraw",), what=what),)


def _steps_of_row(found: Row) -> tuple[Step, ...]:
    """What a row says is to be done, of a build that no rule stops."""
    return (step(found.actor, found.remedy),) if found.remedy and not found.remedy.startswith(NOBODY_ACTS) else ()


def _awaited(
    flywheel: Flywheel, output: str, build: str, says: str, above: tuple[tuple[str, BuildKey], ...]
) -> Awaited:
    if says:
        return Awaited(output, build, says)
    key = BuildKey.parse(build)
    if (output, key) in above:
        return Awaited(output, build, "it waits for this one in turn")
    if len(above) >= DEEPEST:
        return Awaited(output, build, f"see `flywheel why-not {output} {build}`")
    return Awaited(output, build, excuse=excuse_of(flywheel, output, key, published_builds(flywheel, output), above))


def _since(flywheel: Flywheel, verdict: Verdict) -> datetime | None:
    """Since when what decides is as it is now: by the recorded verdicts that say the same; else since it arrived."""
    output, build = verdict.output, verdict.build
    failure = last_failure(flywheel, output, build) if verdict.publishable else None
    if failure:
        return failure.since
    since = None
    for recorded in verdicts_on(flywheel, output, build):
        if recorded.verdict.worst.reason != verdict.worst.reason:
            break
        since = recorded.verdict.now
    entries = flywheel.evidence.entries(output_log(output))
    arrived = (entry.at for entry in entries if entry.kind == RECEIPT and entry.subject == str(build))
    return since or next(arrived, None)


def explain_refusal(refusal: PromotionRefusedError) -> str:
    """Each failed rule of a refused promotion, as text."""
    return explain(failed(refusal.verdict))
