"""Phase 4: did independent builders get the same content from the same source, and did nobody ever get another?"""

from collections.abc import Iterable, Iterator

from flywheel_assets.domain.builds import TriggerEvent
from flywheel_assets.domain.disagreements import Comparison, Disagreement, Side, contents, disputed
from flywheel_assets.domain.evidence import AttestedReceipt
from flywheel_assets.domain.verdicts import About, Finding, Phase, VerdictClass
from flywheel_assets.gate.case import Answer, Case, can_make, needs_receipt, trusted_keys
from flywheel_assets.gate.exceptions import first_standing
from flywheel_assets.gate.opinions import marks_of, most_apart
from flywheel_assets.gate.platform import forge_contradicts, forge_has_no_doubt
from flywheel_assets.gate.quarantines import fingerprints, is_side_quarantined, quarantine_of

_rebuild = Answer("rebuild_agrees", Phase.CLASSIFICATION)
SHOWN_FILES = 3
MISSING = "second-builder-missing"
REPRODUCIBLE = "Make the build reproducible (compare the two with diffoscope), then build a new revision."


@needs_receipt(_rebuild)
def rebuild_agrees(case: Case) -> Finding:
    """The catalogued number of independent builders got this content; any disagreement, ever, is permanent."""
    others = witnesses_of(case)
    against = _disagreeing(case, others) or _once_disputed(case) or _only_an_opinion(case)
    return first_standing(case, (against or _agreeing(case, others),))


def witnesses_of(case: Case) -> list[AttestedReceipt]:
    """The runs of the same revision that have a say; who is said to be compromised has none, for or against."""
    heard = (attested for attested in case.bundle.witnesses if has_a_say(case, attested))
    return [attested for attested in heard if quarantine_of(case, attested) is None]


def disagreements(case: Case) -> tuple[Disagreement, ...]:
    """What is to be recorded of this build and its witnesses: it then counts against their content for good.

    So both sides must have a say, neither may be in quarantine, and the forge, where there is one, must have confirmed
    both.
    """
    if not case.authentic:
        return ()
    mine = case.authentic[0]
    sure = [each for each in (mine, *witnesses_of(case)) if _is_sure(case, each)]
    if mine not in sure:
        return ()
    found = []
    for other in sure:
        apart = disputed(mine.receipt.artifact, other.receipt.artifact)
        if apart:
            sides = (_side(case, attested, apart) for attested in (mine, other))
            one, two = sorted(sides, key=lambda side: (str(side.build), side.receipt))
            revision = mine.receipt.run.source.revision
            made = Disagreement(output=case.bundle.output, revision=revision, sides=(one, two), disputed=apart)
            found.append(made)
    return tuple(found)


def _is_sure(case: Case, attested: AttestedReceipt) -> bool:
    run = attested.receipt.run
    return has_a_say(case, attested) and forge_has_no_doubt(case, run) and quarantine_of(case, attested) is None


def _side(case: Case, attested: AttestedReceipt, apart: tuple[str, ...]) -> Side:
    run, artifact = attested.receipt.run, attested.receipt.artifact
    return Side(
        receipt=attested.evidence,
        build=run.key,
        builder=run.builder,
        digest=artifact.digest,
        repository=run.source.repository,
        keys=tuple(sorted(attested.signatures.keys)),
        fingerprints=tuple(sorted(fingerprints(case.catalogue, attested.signatures.keys))),
        content=tuple(sorted(contents(artifact).intersection(apart))),
    )


def _disagreeing(case: Case, others: Iterable[AttestedReceipt]) -> Finding | None:
    mine = case.receipt.artifact
    for other in (attested.receipt for attested in others):
        if disputed(mine, other.artifact):
            message = (
                f"run {other.run.key.run} on {other.run.builder} got {other.artifact.digest} from the same revision, "
                f"this one {mine.digest}"
            )
            return _rebuild(
                VerdictClass.REJECTED_PERMANENTLY,
                "builders-disagree",
                f"{message}{_which_files(case)}",
                remedy=REPRODUCIBLE,
                actor=case.owner,
            )
    return None


def _once_disputed(case: Case) -> Finding | None:
    for recorded in case.bundle.disagreements:
        found = recorded.disagreement
        against = found.against(case.receipt.artifact) if found.output == case.bundle.output else ()
        # Whose key leaked, or whose run was not what it seemed, binds nobody for good; revoked, it does again.
        if any(not is_side_quarantined(case, side) for side in against):
            one, other = found.sides
            return _rebuild(
                VerdictClass.REJECTED_PERMANENTLY,
                "digest-disputed",
                f"its content was in dispute before: of revision {str(found.revision)[:12]} run {one.build.run} on "
                f"{one.builder} got {one.digest}, run {other.build.run} on {other.builder} {other.digest}"
                f"{_which_files(case)}",
                remedy=REPRODUCIBLE,
                actor=case.owner,
            )
    return None


def _only_an_opinion(case: Case) -> Finding | None:
    """What the rebuilder built speaks for others and is never promoted: it knows ref and trigger from them alone."""
    rebuilder = case.catalogue.rebuilder
    if rebuilder is None or rebuilder.builder != case.receipt.run.builder:
        return None
    return _rebuild(
        VerdictClass.REJECTED_PERMANENTLY,
        "second-opinion",
        "it is a second opinion about the builds of its revision, and no build to be promoted",
        remedy="No action needed: those builds are judged on their own.",
        actor=case.catalogue_owner,
        about=About.POLICY,
    )


def _which_files(case: Case) -> str:
    """What is known of the files that differ, as the end of a sentence."""
    return "".join(f"; {_compared(recorded.comparison)}" for recorded in case.bundle.comparisons[-1:])


def _compared(comparison: Comparison) -> str:
    if comparison.differences is None:
        return f"which files differ is not known: {comparison.problem}"
    return f"in {comparison.path} {comparison.differences.told(SHOWN_FILES)}"


def _agreeing(case: Case, others: Iterable[AttestedReceipt]) -> Finding:
    mine = frozenset().union(*(marks_of(case, attested) for attested in case.authentic))
    opinions = [marks_of(case, other) for other in others if forge_has_no_doubt(case, other.receipt.run)]
    wanted = case.output.builders_that_must_agree
    agreeing = 1 + most_apart([marks for marks in opinions if not marks & mine], wanted - 1)
    if agreeing >= wanted:
        return _rebuild.passed(f"{agreeing} of {wanted} builders needed, none disagrees")
    return _rebuild(
        VerdictClass.WAITING,
        MISSING,
        f"{agreeing} of {wanted} builders got this content so far{_shared(mine, opinions)}",
        remedy=f"{_who_rebuilds(case)} a build of the same revision on another builder.",
        actor=case.builder_owner,
    )


def _who_rebuilds(case: Case) -> str:
    """Whether this installation gives a second opinion itself; without that one is only wanted."""
    rebuilder, run = case.catalogue.rebuilder, case.receipt.run
    if case.receipt.artifact.kind != "nix":
        return "Wait for, or start,"
    if rebuilder is None or run.key.system not in rebuilder.systems:
        return "A rebuild is wanted, and nothing here makes one: wait for, or start,"
    return f"{rebuilder.builder} is asked to build it again, once a day; or start"


def _shared(mine: frozenset[str], opinions: Iterable[frozenset[str]]) -> str:
    """What keeps another run from being a second opinion, for people."""
    shared = sorted({mark for marks in opinions for mark in marks & mine})
    return f"; other runs share {', '.join(shared)} with it" if shared else ""


def has_a_say(case: Case, attested: AttestedReceipt) -> bool:
    """Whether a run counts, for or against: a trusted, capable builder of this very definition, clean, no proposal."""
    return all(_conditions(case, attested))


def _conditions(case: Case, attested: AttestedReceipt) -> Iterator[bool]:
    run = attested.receipt.run
    yield bool(trusted_keys(case.catalogue, attested))
    yield can_make(case.catalogue, case.output, attested)
    yield run.definition == case.output.definition
    yield run.source.repository == case.output.repository
    yield not run.source.dirty
    yield not case.receipt.run.source.dirty
    yield run.trigger.event is not TriggerEvent.PULL_REQUEST
    yield not run.trigger.from_fork
    yield not forge_contradicts(case, run)
