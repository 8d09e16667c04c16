"""Why not, for one build or all builds of an output, judged on the evidence of now and without touching a cache."""

import re
from collections.abc import Mapping
from datetime import datetime

from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.errors import PromotionRefusedError, UsageError
from flywheel_assets.domain.publications import Publication
from flywheel_assets.domain.verdicts import Verdict
from flywheel_assets.gate.evaluate import evaluate
from flywheel_assets.gate.explain import explain, failed
from flywheel_assets.promotion.awaiting import awaited_builds
from flywheel_assets.promotion.blockers import blockers_of, case_of, passes_at, passes_until
from flywheel_assets.promotion.excuses import Awaited, Excuse
from flywheel_assets.promotion.failures import last_failure
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.intake import RECEIPT, output_log
from flywheel_assets.promotion.ledger import assemble, builds_of, publications, verdicts_on
from flywheel_assets.promotion.reading import one_reading
from flywheel_assets.promotion.report import Row, report, row
from flywheel_assets.promotion.steps import NOBODY_ACTS, Step, step, steps_of

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
        raise UsageError(f"No build of {output} is in evidence yet.")
    if build is not None and build not in known:
        raise UsageError(f"No build {build} of {output} is in evidence. Known: {', '.join(map(str, known))}.")
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


def published_builds(flywheel: Flywheel, output: str) -> dict[BuildKey, Publication]:
    """The newest publication of each build that has one. Raises EvidenceError."""
    return {publication.build: publication for publication in publications(flywheel, output)}


def excuse_of(
    flywheel: Flywheel,
    output: str,
    build: BuildKey,
    published: Mapping[BuildKey, Publication],
    above: tuple[tuple[str, BuildKey], ...] = (),
) -> Excuse:
    """The excuse of one build; ``above`` are those that wait for it, so that no chain goes round in a circle."""
    bundle = assemble(flywheel, output, build)
    verdict = evaluate(bundle, flywheel.catalogue, flywheel.clock())
    case, found = case_of(bundle, flywheel.catalogue, verdict), row(flywheel, output, build, published.get(build))
    blockers, chain = blockers_of(case, verdict), (*above, (output, build))
    is_let = verdict.publishable and found.verdict == verdict.verdict.value
    named = _NAMED.search(found.remedy) if is_let else None
    waiting = [(named[1], named[2], "")] if named else awaited_builds(flywheel, case, blockers)
    return Excuse(
        row=found,
        findings=verdict.findings,
        blockers=blockers,
        steps=steps_of(case, blockers) if blockers else _steps_of_row(found) if is_let and not named else (),
        waits_for=tuple(_awaited(flywheel, *each, chain) for each in waiting),
        since=_since(flywheel, verdict),
        passes_at=passes_at(case, blockers),
        passes_until=passes_until(case, verdict),
    )


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
