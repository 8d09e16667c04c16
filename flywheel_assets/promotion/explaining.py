"""Why not, for one build or all builds of an output, judged on the evidence of now and without touching a cache."""

from dataclasses import dataclass

from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.errors import PromotionRefusedError, UsageError
from flywheel_assets.domain.verdicts import Finding, VerdictClass
from flywheel_assets.gate.evaluate import evaluate
from flywheel_assets.gate.explain import explain, failed
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.ledger import assemble, builds_of, publications
from flywheel_assets.promotion.report import Row, report, row


@dataclass(frozen=True, slots=True)
class Explanation:
    """A build's row, and every finding of the gate about it; none for what could not be routed."""

    row: Row
    findings: tuple[Finding, ...]
    failed: tuple[Finding, ...]

    @property
    def every_rule_holds(self) -> bool:
        """Whether nothing stands in the way."""
        return all(finding.verdict is VerdictClass.PASSED for finding in self.findings)


def explain_builds(flywheel: Flywheel, output: str, build: BuildKey | None = None) -> list[Explanation]:
    """Explain the builds. Raises UsageError when there is no such output or build in evidence."""
    if output not in flywheel.catalogue.outputs:
        waiting = [r for r in report(flywheel) if r.output == output and build in (None, _key(r))]
        if not waiting:
            raise UsageError(
                f"Neither the catalogue nor any receipt knows an output {output!r}. See `flywheel report`."
            )
        return [Explanation(r, (), ()) for r in waiting]
    known = sorted(builds_of(flywheel, output), key=str)
    if not known:
        raise UsageError(f"No build of {output} is in evidence yet.")
    if build is not None and build not in known:
        raise UsageError(f"No build {build} of {output} is in evidence. Known: {', '.join(map(str, known))}.")
    return [_explain(flywheel, output, key) for key in known if build in (None, key)]


def _key(found: Row) -> BuildKey | None:
    try:
        return BuildKey.parse(found.build)
    except ValueError:
        return None


def _explain(flywheel: Flywheel, output: str, build: BuildKey) -> Explanation:
    published = {publication.build: publication for publication in publications(flywheel, output)}
    verdict = evaluate(assemble(flywheel, output, build), flywheel.catalogue, flywheel.clock())
    return Explanation(row(flywheel, output, build, published.get(build)), verdict.findings, tuple(failed(verdict)))


def explain_refusal(refusal: PromotionRefusedError) -> str:
    """Each failed rule of a refused promotion, as text."""
    return explain(failed(refusal.verdict))
