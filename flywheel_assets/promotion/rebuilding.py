"""A second opinion of this installation's own: what lacks one is built again from source, and its receipt taken in.

The receipt goes the way of every other: nothing here decides that builders agree. When they do not, what differs is
compared first, so that the disagreement never stands there without its reason.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from flywheel_assets.catalog.models import Rebuilding
from flywheel_assets.domain.artifacts import ClosureMember, NixClosure
from flywheel_assets.domain.builds import BuilderRun, BuildKey, Trigger, TriggerEvent
from flywheel_assets.domain.disagreements import Comparison
from flywheel_assets.domain.errors import InvalidInputError, ReadError, UnreadableError, UsageError, printable
from flywheel_assets.domain.evidence import AttestedReceipt
from flywheel_assets.domain.listings import Differences, compare
from flywheel_assets.domain.receipts import Receipt, receipt_statement
from flywheel_assets.domain.statements import PAYLOAD_TYPE
from flywheel_assets.domain.verdicts import Phase, Verdict, VerdictClass
from flywheel_assets.gate.agreement import MISSING, has_a_say
from flywheel_assets.gate.case import Case
from flywheel_assets.ports import Rebuilder, Rebuilt
from flywheel_assets.promotion.assembling import assemble
from flywheel_assets.promotion.disputes import record_comparison
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.intake import Taken, open_statement, route
from flywheel_assets.promotion.ledger import builds_of, last_verdicts
from flywheel_assets.promotion.reading import one_reading

LOOKED_AT = 500  # of one output, the newest
COMPARED = 3  # paths of one closure
ACTOR = "rebuilder"


@dataclass(frozen=True, slots=True)
class Opinion:
    """What building again gave: under which build it is in evidence, and what differs from the first."""

    build: BuildKey
    agrees: bool
    comparisons: tuple[Comparison, ...] = ()


def wanting(flywheel: Flywheel) -> Iterator[tuple[str, BuildKey]]:
    """Builds that lack a second opinion and could be validated with one, the newest first; as their verdicts say.

    Without a rebuilder in the catalogue too: then they are wanted, and nobody is asked. Raises EvidenceError.
    """
    flywheel = one_reading(flywheel)
    for name, output in flywheel.catalogue.outputs.items():
        if output.type.value == "nix" and output.builders_that_must_agree > 1:
            verdicts = last_verdicts(flywheel, name)
            for build in reversed(builds_of(flywheel, name)[-LOOKED_AT:]):
                if str(build) in verdicts and _lacks_an_opinion(verdicts[str(build)]().verdict):
                    yield name, build


def to_ask_for(
    flywheel: Flywheel, is_left: Callable[[str, BuildKey], bool] = lambda _name, _build: False
) -> list[tuple[str, BuildKey]]:
    """Of these what this installation can build again and has not, as many as the catalogue lets be asked for a day.

    What ``is_left`` to people takes nobody's turn.
    """
    rebuilder, flywheel = flywheel.catalogue.rebuilder, one_reading(flywheel)
    if rebuilder is None:
        return []
    mine = (each for each in wanting(flywheel) if not is_left(*each) and _can(flywheel, rebuilder, *each))
    return list(islice(mine, rebuilder.a_day))


def rebuild(flywheel: Flywheel, output: str, build: BuildKey) -> Opinion:
    """Build again what a build was made from; once for each revision and system, however often this runs.

    Raises UsageError where there is nothing to build again, ReadError or InvalidInputError when it fails, and
    EvidenceError.
    """
    rebuilder, label = _rebuilder(flywheel)
    first = _first(flywheel, output, build)
    theirs = _closure(first)
    key = _key_of(first)
    if earlier := _earlier(flywheel, output, key, label):
        return _opinion(flywheel, output, key, theirs, earlier)
    if build == key:
        raise UsageError(f"{build} is called as what is built again here is, and {label} did not build it.")
    source = first.receipt.run.source
    started = flywheel.clock()
    made = rebuilder.rebuild(source.repository, source.revision, flywheel.output(output).definition)
    _demand_same_derivation(theirs, made.closure)
    found = tuple(_compare(flywheel, rebuilder, output, *pair) for pair in _apart(theirs, made.closure))
    for comparison in found:
        record_comparison(flywheel, comparison)
    run = _run(first, key, label, made, (started, flywheel.clock()))
    receipt = Receipt(output=output, run=run, artifact=made.closure)

    def sign() -> bytes:
        return rebuilder.signer.sign(receipt_statement(receipt), PAYLOAD_TYPE)

    # Of two that build at once one is heard: receipts of one run that differ would be a conflict.
    document = flywheel.evidence.slot(f"rebuild {output} {key} {rebuilder.signer.keyid}", sign)
    evidence = flywheel.evidence.put(document)
    route(flywheel, open_statement(flywheel, document, f"the rebuild of {output}"), evidence, Taken())
    return Opinion(key, not found, found)


def _lacks_an_opinion(verdict: Verdict) -> bool:
    lacking = any(f.reason == MISSING and f.verdict is VerdictClass.WAITING for f in verdict.findings)
    of_itself = (finding for finding in verdict.findings if finding.phase is not Phase.PUBLICATION)
    return lacking and all(finding.verdict is not VerdictClass.REJECTED_PERMANENTLY for finding in of_itself)


def _can(flywheel: Flywheel, rebuilder: Rebuilding, name: str, build: BuildKey) -> bool:
    """Whether it is one of the rebuilder's systems, and nothing that it has built before."""
    try:
        key = _key_of(_first(flywheel, name, build))
    except UsageError:
        return False
    if build == key or build.system not in rebuilder.systems:
        return False
    return not _earlier(flywheel, name, key, rebuilder.builder)


def _rebuilder(flywheel: Flywheel) -> tuple[Rebuilder, str]:
    """The rebuilder, and its label."""
    if flywheel.rebuilder is None or flywheel.catalogue.rebuilder is None:
        raise UsageError("The catalogue names no `rebuilder`, so nothing is built again here (docs/rebuilds.md).")
    return flywheel.rebuilder, flywheel.catalogue.rebuilder.builder


def _first(flywheel: Flywheel, output: str, build: BuildKey) -> AttestedReceipt:
    """The authentic receipt of what is to be built again."""
    if output not in flywheel.catalogue.outputs:
        raise UsageError(f"The catalogue knows no output {output!r}. `flywheel report` lists what it knows.")
    bundle = assemble(flywheel, output, build)
    case = Case(bundle, flywheel.catalogue, flywheel.output(output), flywheel.clock())
    for attested in case.authentic:
        # Repository and definition are the catalogue's: what a receipt names only has to be the same.
        if has_a_say(case, attested) and isinstance(attested.receipt.artifact, NixClosure):
            return attested
    raise UsageError(
        f"No authentic receipt says of which clean revision of its repository {output} {build} is a Nix build."
    )


def _closure(attested: AttestedReceipt) -> NixClosure:
    artifact = attested.receipt.artifact
    if not isinstance(artifact, NixClosure):
        raise UsageError(f"{attested.receipt.output} is no Nix closure, and only these are built again.")
    return artifact


def _key_of(first: AttestedReceipt) -> BuildKey:
    """One build for each revision and system."""
    run = first.receipt.run
    return BuildKey(run=f"rebuild-{run.source.revision}", attempt=1, system=run.key.system)


def _demand_same_derivation(theirs: NixClosure, mine: NixClosure) -> None:
    """Raises UnreadableError when another derivation was built: a store path is named by all that goes into it.

    Then the source or its evaluation differs, here or there, and a disagreement would be one for good. Nothing passes
    without the opinion, so a person can find out first.
    """
    if theirs.root != mine.root:
        raise UnreadableError(
            f"It evaluates to {mine.root} here, and its receipt names {theirs.root}: another derivation, so this is "
            "neither a second opinion nor a disagreement. Find out which input differs."
        )


def _earlier(flywheel: Flywheel, output: str, key: BuildKey, label: str) -> list[NixClosure]:
    """What the rebuilder got before, by its own word: anybody can leave a receipt under the name of its build.

    Its label is all that has to be asked of an authentic receipt: whose key speaks for it speaks for nobody else.
    """
    if key not in builds_of(flywheel, output):
        return []
    bundle = assemble(flywheel, output, key)
    case = Case(bundle, flywheel.catalogue, flywheel.output(output), flywheel.clock())
    return [_closure(attested) for attested in case.authentic if attested.receipt.run.builder == label]


def _opinion(flywheel: Flywheel, output: str, key: BuildKey, theirs: NixClosure, mine: list[NixClosure]) -> Opinion:
    compared = assemble(flywheel, output, key).comparisons
    return Opinion(key, not any(_apart(theirs, each) for each in mine), tuple(c.comparison for c in compared))


def _apart(theirs: NixClosure, mine: NixClosure) -> list[tuple[ClosureMember, ClosureMember]]:
    """The members whose bodies differ, the root first."""
    one, other = theirs.by_path, mine.by_path
    shared = sorted(one.keys() & other.keys(), key=lambda path: (path != theirs.root, path))
    return [(one[path], other[path]) for path in shared if one[path] != other[path]][:COMPARED]


def _compare(
    flywheel: Flywheel, rebuilder: Rebuilder, output: str, theirs: ClosureMember, mine: ClosureMember
) -> Comparison:
    """Which files differ; or which of the two cannot be read."""
    differences: Differences | None = None
    problem = ""
    try:
        cached = rebuilder.cached_listing(flywheel.output(output).cache, theirs)
        differences = compare(cached, rebuilder.listing(mine))
    except (ReadError, InvalidInputError) as error:
        problem = printable(str(error), 400)
    digests = (theirs.nar_hash.hex, mine.nar_hash.hex)
    return Comparison(output=output, path=theirs.path, digests=digests, differences=differences, problem=problem)


def _run(
    first: AttestedReceipt, key: BuildKey, label: str, made: Rebuilt, times: tuple[datetime, datetime]
) -> BuilderRun:
    run, fetched = first.receipt.run, made.source
    holds = {(member.path, member.nar_hash.hex) for member in made.closure.members}
    return BuilderRun(
        key=key,
        builder=label,
        invocation=f"{run.source.repository}/commit/{run.source.revision}",
        source=run.source.model_copy(update={"dirty": False, "committed_at": fetched.committed_at}),
        definition=run.definition,
        locked_inputs=fetched.locked_inputs,
        trigger=Trigger(event=TriggerEvent.SCHEDULE, actor=ACTOR),
        started_at=times[0],
        finished_at=times[1],
        bootstrap=None,
        validations=(),
        dependencies=tuple(d for d in run.dependencies if (d.store_path, d.digest.hex) in holds),
    )
