"""One build for every reason that a rule can give, and the page of what the gate then says, word by word.

vectors/gate/findings.md is ``page()``; write it anew with ``python -m flywheel_assets_tests.gate.every_reason``, and
read what changed.
"""

from datetime import timedelta
from pathlib import Path

from flywheel_assets.catalog.models import (
    ArtifactType,
    Audience,
    Claim,
    FlakeTarget,
    Purpose,
    Repository,
    Role,
    Visibility,
)
from flywheel_assets.domain.builds import Trigger, TriggerEvent, Validation, ValidationResult
from flywheel_assets.domain.decisions import Act
from flywheel_assets.domain.digests import GitRevision, NarHash
from flywheel_assets.domain.evidence import Origin, Signatures
from flywheel_assets.domain.inspections import ReadState
from flywheel_assets.domain.platform_runs import AbsentRun, Ending, RecordedRun
from flywheel_assets.domain.verdicts import Finding, VerdictClass
from flywheel_assets_tests.gate.cases import (
    KINDS,
    NOW,
    OTHER_KEY,
    REPOSITORY,
    STARTED,
    Bench,
    artifact,
    attested,
    changed,
    good,
    store_path,
    witness_of,
)
from flywheel_assets_tests.gate.decided import (
    DAY,
    after,
    approval,
    asking,
    decided,
    excepting,
    withdrawal,
)
from flywheel_assets_tests.gate.reasons import REASONS
from flywheel_assets_tests.gate.test_agreement import _rebuilding, recorded
from flywheel_assets_tests.gate.test_authority import DECIDED, DOCUMENTED, GREEN, OPEN, competing, dual, published
from flywheel_assets_tests.gate.test_platform import BUILDS, attesting, job, record, untrusted, with_forge
from flywheel_assets_tests.gate.test_platform import ELSEWHERE as OTHER_JOB
from flywheel_assets_tests.gate.test_platform import said as provenance
from flywheel_assets_tests.gate.test_properties import ELSEWHERE, FAILED, OTHER, claims_but, newer, with_test
from flywheel_assets_tests.gate.test_standing import through_an_image

PAGE = Path(__file__).parents[1] / "vectors" / "gate" / "findings.md"
Builds = dict[str, list[tuple[str, Bench]]]


def _signed(*keys: str, unknown: tuple[str, ...] = (), invalid: tuple[str, ...] = (), origin: str = "") -> Bench:
    revision = Origin(REPOSITORY, origin) if origin else None
    return good().with_signatures(Signatures(keys=keys, unknown=unknown, invalid=invalid, origin=revision))


def _disputed() -> Bench:
    found = recorded(good(), witness_of(good(), b"other"))
    later = good().with_source(revision=GitRevision("c" * 40)).with_run(key=OTHER_KEY)
    return later.with_bundle(disagreements=found, witnesses=(), build=OTHER_KEY)


def _read_as(state: ReadState, **more: object) -> Bench:
    return good().with_reading(0, state=state, **({"digest": "", "size": 0} | more))


def _absent() -> RecordedRun:
    found = AbsentRun(repository=REPOSITORY, run="100", attempt=1)
    return RecordedRun(evidence=record().evidence, found=found)


def _transient() -> list[tuple[str, Bench]]:
    alias = good().with_output(role=Role.ALIAS, alias_of="library")
    roles = [(role.value, good().with_output(role=role)) for role in Role if role not in {Role.PACKAGE, Role.ALIAS}]
    triggers = [
        ("a pull request", Trigger(event=TriggerEvent.PULL_REQUEST, actor="someone")),
        ("a fork", Trigger(event=TriggerEvent.PUSH, actor="someone", from_fork=True)),
    ]
    return [
        ("alias", alias),
        *roles,
        *((name, good().with_run(trigger=trigger)) for name, trigger in triggers),
        ("another ref", good().with_source(ref="refs/heads/topic")),
        ("an untrusted claim", claims_but(Claim.TRIGGER)(good())),
    ]


def _use() -> list[tuple[str, Bench]]:
    audiences = [Audience.ACCELERATION, Audience.INTERNAL, Audience.UNDECIDED]
    found = [(each.value, good().with_output(audience=each)) for each in audiences]
    return [*found, ("undocumented", good().with_output(consumption=None))]


def _authentic() -> list[tuple[str, Bench]]:
    conflicting = attested(changed(good().receipt, {"artifact": artifact("nix", b"other")}), "nixer")
    elsewhere = Signatures(keys=("nixer",), origin=Origin(ELSEWHERE, ""))
    run = f"{REPOSITORY}/actions/runs/200/attempts/1"
    another = Signatures(keys=("nixer",), origin=Origin(REPOSITORY, "a" * 40, invocation=run))
    late = good().with_bundle(receipts=(changed(good().bundle.receipts[0], {"arrived_at": NOW}),))
    return [
        ("no receipt", good().with_bundle(receipts=())),
        ("unsigned", _signed()),
        ("signatures that do not verify", _signed(invalid=("nixer", "platform"))),
        ("strangers", _signed(unknown=("f" * 64, "https://issuer.example (somebody)"))),
        ("a key of another builder", _signed("docker")),
        ("a key of another repository", good().with_entry("keys", "nixer", repositories=(ELSEWHERE,))),
        ("a key for images", good().with_entry("keys", "nixer", for_=(Purpose.IMAGES,))),
        ("a certificate of another revision", _signed("nixer", origin="b" * 40)),
        ("a certificate of another source", good().with_signatures(elsewhere)),
        ("a certificate of another run", good().with_signatures(another)),
        ("a key of later", good().with_entry("keys", "nixer", valid_from=NOW)),
        ("a key of before", late.with_entry("keys", "nixer", valid_until=NOW - DAY)),
        ("conflicting receipts", good().with_bundle(receipts=(*good().bundle.receipts, conflicting))),
        ("the future", good().with_run(finished_at=NOW + DAY)),
        ("two signers", _signed("nixer", "platform")),
    ]


def _standing() -> list[tuple[str, Bench]]:
    tool = withdrawal(good(), "alice", "bob", reason="It leaks.")
    library = withdrawal(good(), "bob", digest=NarHash.of(b"library"))
    key = decided(Act.QUARANTINE, "bob", key="nixer", reason="It was found in a log.")
    run = decided(Act.QUARANTINE, "bob", repository=REPOSITORY, run="200", reason="Its runner was taken over.")
    return [
        ("withdrawn", after(good(), tool)),
        (
            "a member is withdrawn",
            after(good().with_bundle(dependencies=()), library),
        ),
        ("what it is built from is withdrawn", after(through_an_image(), tool)),
        ("a member of that is withdrawn", after(through_an_image(), library)),
        ("its key is in quarantine", after(good(), key)),
        ("the run of what it is built from is", after(through_an_image(), run)),
        ("nothing of it", after(good(), withdrawal(good(), "bob", digest=NarHash.of(b"another")))),
    ]


def _forge() -> list[tuple[str, Bench]]:
    by_hand = good().with_run(trigger=Trigger(event=TriggerEvent.MANUAL, actor="someone"))
    named = good().with_run(job="7")
    origin = Origin(REPOSITORY, "a" * 40, invocation=f"{REPOSITORY}/-/jobs/99")
    return [
        ("unheard", with_forge(good())),
        ("absent", with_forge(good(), _absent())),
        ("contradicting", with_forge(good(), record(revision=GitRevision("b" * 40)))),
        ("another job than it names", with_forge(named, record(jobs=(job(id="8"),)))),
        (
            "a certificate of a strange job",
            with_forge(good().with_signatures(Signatures(keys=("nixer",), origin=origin)), record()),
        ),
        ("another revision in its provenance", attesting(good(), provenance(good(), revision="b" * 40))),
        ("an unusual event", with_forge(by_hand, record(event=TriggerEvent.MANUAL, event_name="workflow_run"))),
        ("an event without a name", with_forge(by_hand, record(event=TriggerEvent.MANUAL))),
        ("jobs elsewhere", with_forge(good(), record(jobs=(job(), job(**OTHER_JOB))))),
        ("a run that failed", with_forge(good(), record(ending=Ending.FAILED))),
        (
            "a run that failed on an unknown label",
            with_forge(good().without_entry("builders", "nixer"), record(ending=Ending.FAILED)),
        ),
        ("its job failed", with_forge(named, record(jobs=(job(ending=Ending.FAILED),)))),
        ("the same", with_forge(good(), record())),
        ("the same, and provenance", attesting(good(), provenance(good()))),
    ]


def _bootstrap() -> list[tuple[str, Bench]]:
    made = good().run.bootstrap
    assert made is not None
    late = good().with_run(bootstrap=changed(made, {"finished_at": NOW}))
    return [
        ("unproven", good().with_run(bootstrap=None)),
        ("an untrusted claim", claims_but(Claim.BOOTSTRAP)(good())),
        ("an untrusted claim in a workflow of no name", with_forge(untrusted(), record(workflow="other.yml"))),
        ("unseen where the forge would show it", with_forge(good(), record(jobs=(job(BUILDS),)))),
        ("outside the run", late),
        ("a lane that need not", good("oci")),
        ("seen by the forge", with_forge(good(), record())),
    ]


def _known() -> list[tuple[str, Bench]]:
    return [
        ("an unknown label", good().without_entry("builders", "nixer")),
        ("another type", good().with_receipt(artifact=artifact("oci"))),
        ("a lane of another class", good().with_builder(makes=(ArtifactType.OCI,))),
    ]


def _agreement() -> list[tuple[str, Bench]]:
    alone = good().with_bundle(witnesses=())
    theirs = _rebuilding(good()).with_run(builder="nixer-two").with_signatures(Signatures(keys=("nixer-two",)))
    return [
        ("disagreeing", good().with_bundle(witnesses=(witness_of(good(), b"other"),))),
        ("disputed before", _disputed()),
        ("alone", alone),
        ("a rebuilder's own", theirs),
        (
            "alone, by exception",
            excepting(alone, "rebuild_agrees", "second-builder-missing"),
        ),
    ]


def _bodies() -> list[tuple[str, Bench]]:
    states = [state for state in ReadState if state not in {ReadState.READ, ReadState.ABSENT}]
    return [
        ("not read", good().with_bundle(inspections=())),
        ("nothing there", good().with_readings()),
        *((state.value, _read_as(state)) for state in states),
        ("with a detail", _read_as(ReadState.UNREADABLE, detail="HTTP 500")),
        ("another digest", good().with_reading(0, digest=OTHER)),
        ("more than its size", _read_as(ReadState.TOO_LARGE, size=10_000)),
        ("another index", good().with_reading(0, index_problems=("NarSize 1 and not 2",))),
    ]


def _closures() -> list[tuple[str, Bench]]:
    unknown = changed(good().readings[0], {"member": store_path("unknown")})
    return [
        ("not read", good().with_bundle(inspections=())),
        ("an added reference", good().with_reading(0, added_references=(store_path("extra"),))),
        ("absent", good().with_reading(0, state=ReadState.ABSENT, digest="", size=0)),
        ("two absent", good().with_readings(good().readings[2])),
        ("not vouched for", good().with_readings(*good().readings, unknown)),
        ("an image's platform", good("oci").with_readings(*good("oci").readings[:2])),
    ]


def _validations() -> list[tuple[str, Bench]]:
    names = good().catalogue.outputs["tool"].validations
    both = good().with_run(validations=tuple(Validation(name=n, result=ValidationResult.PASSED) for n in names))
    failed = with_test(good(), FAILED, "smoke", "platform")
    twice = with_test(failed, FAILED, "scan", "platform")
    return [
        ("failed", failed),
        ("two failed", twice),
        ("missing", good().with_bundle(tests=())),
        ("an untrusted claim", claims_but(Claim.VALIDATION)(good())),
        ("two missing", good().with_run(validations=()).with_bundle(tests=())),
        ("two untrusted claims", claims_but(Claim.VALIDATION)(both).with_bundle(tests=())),
        ("none named", good().with_output(validations=())),
        ("by exception", excepting(good().with_bundle(tests=()), "validation_is_green", "validation-missing")),
    ]


def _sources() -> list[tuple[str, Bench]]:
    return [
        ("another repository", good().with_output(repository=ELSEWHERE)),
        ("dirty", good().with_source(dirty=True)),
        ("unlocked", good().with_run(locked_inputs=())),
        ("an untrusted claim", claims_but(Claim.SOURCE)(good())),
        ("another definition", good().with_run(definition="packages.x86_64-linux.other")),
        ("no definition", good().with_run(definition=None)),
        ("committed after", good().with_source(committed_at=NOW)),
        ("an unnamed dependency", good().with_run(dependencies=())),
        ("an unresolved dependency", good().with_bundle(dependencies=())),
    ]


def _order() -> list[tuple[str, Bench]]:
    older = newer(good())
    return [
        ("older", older),
        ("older, and approved", after(older, approval(older, "alice", accepts=("older-than-channel",)))),
        ("unknown", newer(good().with_source(committed_at=None))),
        ("newer", newer(good().with_source(committed_at=STARTED))),
    ]


def _authority() -> list[tuple[str, Bench]]:
    return [
        ("another output", competing()),
        ("one gate", competing(OPEN)),
        ("gates of every kind", competing(DOCUMENTED, DECIDED, GREEN, OPEN).with_bundle(tests=())),
        ("every gate met", competing(DOCUMENTED)),
        ("every gate met and no canonical source", competing(DOCUMENTED, canonical=None)),
        ("every gate met before the canonical source is published", competing(DOCUMENTED).with_bundle(canonical=None)),
        ("no canonical source", dual(None)),
        ("the canonical source first", dual("image")),
        ("beside it", published(dual("image"))),
        ("no product", good().with_output(product=None)),
    ]


def _surface() -> list[tuple[str, Bench]]:
    private = good().with_part("repositories", {REPOSITORY: Repository(visibility=Visibility.PRIVATE)})
    target = good().catalogue.outputs["tool"].publication
    assert target is not None
    flake = FlakeTarget(name="org/tool", versions="tag", workflow="publish.yml", binaries="durable-nix")
    return [
        ("none", good("bazel")),
        ("none for what is to be the authority", competing(DOCUMENTED).with_output(publication=None)),
        ("a flake without a tag", good().with_output(publication=changed(target, {"flake": flake}))),
        ("undisclosed", private),
    ]


def _approvals() -> list[tuple[str, Bench]]:
    two, started = asking(good(), 2), Trigger(event=TriggerEvent.PUSH, actor="alice-on-the-forge")
    return [
        ("none yet", two),
        ("one", after(two, approval(two, "bob"))),
        ("enough", after(two, approval(two, "alice", "bob"))),
        ("the last two", asking(good(), 2, ("alice", "bob"))),
        ("too few", asking(good().with_run(trigger=started), 2, ("alice", "bob"))),
    ]


def _holds() -> list[tuple[str, Bench]]:
    ever = decided(Act.HOLD, "alice", "bob", reason="We look into it.")
    short = decided(Act.HOLD, "bob", output="tool", expires_at=NOW + DAY, reason="Not on a Friday.")
    of_builder = decided(Act.HOLD, "bob", builder="nixer", expires_at=NOW + timedelta(hours=1))
    return [
        ("everything", after(good(), ever)),
        ("an output", after(good(), short)),
        ("a builder", after(good(), of_builder)),
        ("all of that", after(good(), short, ever, of_builder)),
    ]


def _ownership() -> list[tuple[str, Bench]]:
    return [
        ("no builder", good().without_entry("builders", "nixer")),
        ("undocumented", good().with_output(clean_because=None)),
    ]


def builds() -> Builds:
    """By rule, what makes it say something, and the build that does."""
    strangers = ("nobody vouches for it", _signed(unknown=("f" * 64,)))
    by_rule: Builds = {
        "output_is_not_transient": _transient(),
        "use_is_intended": _use(),
        "receipt_is_authentic": _authentic(),
        "not_withdrawn": _standing(),
        "forge_vouches_for_the_run": _forge(),
        "toolchain_bootstrap_was_proven": _bootstrap(),
        "builder_is_known": _known(),
        "rebuild_agrees": _agreement(),
        "closure_is_complete": _closures(),
        "whole_body_matches_digest": _bodies(),
        "validation_is_green": _validations(),
        "source_can_be_reidentified": _sources(),
        "source_order_is_kept": _order(),
        "release_authority_holds": _authority(),
        "durable_surface_exists": _surface(),
        "approvals_are_given": _approvals(),
        "not_held": _holds(),
        "ownership_is_documented": _ownership(),
        "evidence_is_whole": [("damaged", good().with_bundle(damaged=("Evidence is gone.",)))],
    }
    for rule in REASONS["no-authentic-receipt"].rules.split(", "):
        by_rule[rule].append(strangers)
    return by_rule


def said() -> list[tuple[str, str, Finding]]:
    """Rule, what makes it say it, and what it says."""
    found = [
        (finding.rule, f"a good {kind} build", finding) for kind in KINDS for finding in good(kind).verdict().findings
    ]
    return found + [(rule, what, bench.finding(rule)) for rule, cases in builds().items() for what, bench in cases]


def page() -> str:
    """The whole of vectors/gate/findings.md."""
    lines = ["# What the gate says", ""]
    for rule, what, finding in sorted(said(), key=lambda item: item[0]):
        lines += [f"## {rule}: {what}", ""]
        excepted = f", by the exception {finding.exception}" if finding.exception else ""
        lines += [
            f"{finding.verdict.value} ({finding.reason}){excepted}; {finding.phase.value}, about {finding.about.value}",
            "",
        ]
        lines += [f"    {finding.message}"]
        if finding.verdict is not VerdictClass.PASSED:
            lines += [f"    {finding.remedy}", f"    {finding.actor}"]
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), "utf-8")
