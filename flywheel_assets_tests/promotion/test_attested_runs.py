"""Runs with what their forge attests: signatures of receipts that jobs left bare, and the workflow's own provenance."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import stamina

from flywheel_assets.adapters.signatures.verifier import SignatureVerifier
from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.digests import EvidenceDigest
from flywheel_assets.domain.image_signatures import WORKFLOW_BUILD
from flywheel_assets.domain.limits import Limits
from flywheel_assets.domain.platform_runs import PlatformRun, WorkflowProvenance, attempt_url
from flywheel_assets.domain.verdicts import Finding, VerdictClass
from flywheel_assets.promotion.assembling import assemble
from flywheel_assets.promotion.intake import dead_letters
from flywheel_assets.promotion.judging import Judgement, judge
from flywheel_assets_tests.adapters.signatures.make_vectors import TAMPERED, workflow_provenance
from flywheel_assets_tests.adapters.signatures.miniature import ISSUER, SUBJECT, bundle, but, trusted_root
from flywheel_assets_tests.forge import ForgeRun
from flywheel_assets_tests.promotion.forged import KEY, OUTPUT, REPOSITORY, ForgedRuns, forged, receipt_of
from flywheel_assets_tests.promotion.installation import statement_of
from flywheel_assets_tests.scripted import Answer

FORGE = "forge_vouches_for_the_run"
STRANGER = "https://github.com/stranger/x/.github/workflows/x.yml@refs/heads/main"


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=2, cap=True):
        yield


@pytest.fixture
def flow() -> Iterator[ForgedRuns]:
    """A forge, and beside the builder's key a workflow that may speak for it keyless."""
    with forged() as found:
        catalogue = found.flywheel.catalogue
        changed = {"public_key": None, "issuer": ISSUER, "identity": SUBJECT}
        keys = {**catalogue.keys, "workflow": catalogue.keys[KEY].model_copy(update=changed)}
        catalogue = catalogue.model_copy(update={"keys": keys, "trust_root": trusted_root()})
        verifier = SignatureVerifier(catalogue.trust_root)
        found.flywheel = replace(found.flywheel, catalogue=catalogue, verifier=verifier)
        yield found


def digest_of(statement: dict[str, Any]) -> str:
    found: str = statement["subject"][0]["digest"]["sha256"]
    return found


def certified(run: ForgeRun, **claims: str) -> dict[str, str]:
    """What a certificate says that was issued to the run."""
    url = attempt_url(REPOSITORY, str(run.id), 1)
    return {"repository": REPOSITORY, "revision": run.sha, "ref": "refs/heads/main", "invocation": url, **claims}


def signed(statement: dict[str, Any], run: ForgeRun, **claims: str) -> bytes:
    """The statement in a bundle, spelled as another tool spells it."""
    return json.dumps(bundle(json.dumps(statement, indent=2).encode(), but(**certified(run, **claims)))).encode()


def leave_bare(flow: ForgedRuns, run: ForgeRun) -> dict[str, Any]:
    """The receipt that a job leaves to the forge to sign."""
    statement = statement_of(receipt_of(run))
    flow.forge.leave(run, "receipt", statement=json.dumps(statement).encode())
    return statement


def judged(flow: ForgedRuns, run: ForgeRun) -> Judgement:
    return judge(flow.flywheel, OUTPUT, BuildKey(run=str(run.id), attempt=1, system="x86_64-linux"))


def of_the_forge(flow: ForgedRuns, run: ForgeRun) -> Finding:
    (found,) = [each for each in judged(flow, run).verdict.findings if each.rule == FORGE]
    return found


def letters(flow: ForgedRuns) -> list[str]:
    return [letter.subject for letter in dead_letters(flow.flywheel)]


def asked_for_attestations(flow: ForgedRuns) -> int:
    server = flow.forge.asked
    return sum("/attestations/" in path for path in server)


@pytest.mark.parametrize("packing", ["inline", "snappy"])
def test_a_bare_receipt_is_signed_by_the_attestation_that_is_its_statement(flow: ForgedRuns, packing: str) -> None:
    run = flow.build()
    statement = leave_bare(flow, run)
    made = signed(statement, run)
    flow.forge.attest(digest_of(statement), made, packing=packing)
    flow.forge.end(run)
    taken = flow.tick()
    assert (taken.recorded, len(taken.taken.builds), letters(flow)) == (1, 1, [])
    assert judged(flow, run).verdict.validated
    (attested,) = assemble(flow.flywheel, OUTPUT, flow.builds()[0]).receipts
    assert attested.signatures.keys == ("workflow",)
    assert json.loads(flow.document(attested.evidence)) == json.loads(made)
    assert [flow.tick().taken.total for _ in range(2)] == [0, 0]


def test_a_bare_receipt_that_nobody_attested_is_unsigned(flow: ForgedRuns) -> None:
    run = flow.build()
    leave_bare(flow, run)
    flow.forge.end(run)
    assert flow.tick().recorded == 1
    assert judged(flow, run).verdict.worst.reason == "receipt-unsigned"


def test_an_attestation_of_another_receipt_of_the_same_artifact_signs_nothing_here(flow: ForgedRuns) -> None:
    earlier, run = flow.build(), flow.build()
    statement = leave_bare(flow, run)
    flow.forge.attest(digest_of(statement), signed(statement_of(receipt_of(earlier)), earlier))
    flow.forge.end(run)
    flow.tick()
    assert judged(flow, run).verdict.worst.reason == "receipt-unsigned"
    assert letters(flow) == []


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"subject": STRANGER}, "key-untrusted"),
        ({"revision": "f" * 40}, "origin-contradicts-receipt"),
        ({"invocation": attempt_url(REPOSITORY, "77", 1)}, "certificate-of-another-run"),
    ],
)
def test_an_attestation_is_worth_what_its_certificate_is(flow: ForgedRuns, claims: dict[str, str], reason: str) -> None:
    run = flow.build()
    statement = leave_bare(flow, run)
    flow.forge.attest(digest_of(statement), signed(statement, run, **claims))
    flow.forge.end(run)
    flow.tick()
    assert judged(flow, run).verdict.worst.reason == reason


def test_a_strangers_attestation_of_a_receipt_does_no_harm_to_the_true_one(flow: ForgedRuns) -> None:
    run = flow.build()
    statement = leave_bare(flow, run)
    for claims in ({"subject": STRANGER}, {}):
        flow.forge.attest(digest_of(statement), signed(statement, run, **claims))
    flow.forge.end(run)
    assert len(flow.tick().taken.builds) == 2
    assert judged(flow, run).verdict.validated


def test_attestations_that_are_refused_keep_only_their_own_run_waiting(flow: ForgedRuns) -> None:
    refused, other = flow.build(), flow.build()
    statement = leave_bare(flow, refused)
    flow.forge.attest(digest_of(statement), signed(statement, refused))
    flow.forge.leave(other, "logs", log=b"{}")
    flow.forge.shows_attestations = False
    for run in (refused, other):
        flow.forge.end(run)
    assert (flow.tick().recorded, flow.ticks[-1].open, len(flow.ticks[-1].problems)) == (1, 1, 1)
    assert flow.builds() == []
    flow.forge.shows_attestations = True
    assert flow.tick(moved=60).recorded == 1
    assert judged(flow, refused).verdict.validated


def test_a_bundle_on_a_host_that_is_not_named_yet_is_fetched_once_it_is(flow: ForgedRuns) -> None:
    run, home = flow.build(), flow.forge.url
    statement = leave_bare(flow, run)
    flow.forge.attest(digest_of(statement), signed(statement, run))
    flow.forge.end(run)
    flow.forge.url = "http://blobs.example"
    assert flow.tick().recorded == 0
    assert "blobs.example" in flow.ticks[-1].problems[0]
    flow.forge.url = home
    assert flow.tick(moved=60).recorded == 1
    assert judged(flow, run).verdict.validated


def test_spoilt_attestations_are_buried_with_their_reasons_and_the_good_one_counts(flow: ForgedRuns) -> None:
    run = flow.build()
    statement = leave_bare(flow, run)
    digest = digest_of(statement)
    flow.forge.attest(digest, b"x", blob=Answer(410))
    flow.forge.attest(digest, b'{"mediaType": "application/json"}')
    flow.forge.attest(digest, signed(statement, run))
    flow.forge.end(run)
    assert flow.tick().recorded == 1
    gone, strange = letters(flow)
    assert "was deleted at the forge" in gone
    assert "is no version of a Sigstore bundle" in strange
    assert judged(flow, run).verdict.validated
    assert flow.tick().taken.total == 0


def test_where_the_catalogue_knows_no_keyless_signer_no_attestation_is_asked_for() -> None:
    with forged() as flow:
        run = flow.build()
        leave_bare(flow, run)
        flow.forge.end(run)
        assert flow.tick().recorded == 1
        assert asked_for_attestations(flow) == 0


def test_a_run_cannot_make_its_reader_ask_without_end(flow: ForgedRuns) -> None:
    run = flow.build()
    flow.flywheel = replace(flow.flywheel, limits=Limits(attested_receipts=2))
    for number in range(4):
        flow.forge.leave(run, f"receipt-{number}", tide=receipt_of(run))
    flow.forge.end(run)
    assert flow.tick().recorded == 1
    assert asked_for_attestations(flow) == 2
    assert {letter.rpartition("is of a run with more")[2] for letter in letters(flow)} == {
        " receipts or attestations than are asked for. Deliver it again."
    }


def test_a_run_cannot_make_its_reader_fetch_without_end(flow: ForgedRuns) -> None:
    run = flow.build()
    statement = leave_bare(flow, run)
    made = [signed(statement, run, ref=f"refs/heads/{number}") for number in range(3)]
    for each in made:
        flow.forge.attest(digest_of(statement), each)
    flow.flywheel = replace(flow.flywheel, limits=Limits(archive_unpacked_bytes=len(made[0]) * 2))
    flow.forge.end(run)
    assert len(flow.tick().taken.builds) == 2
    assert len(letters(flow)) == 1


def test_a_crash_while_a_bare_receipt_is_taken_in_loses_and_doubles_nothing(flow: ForgedRuns) -> None:
    run = flow.build()
    statement = leave_bare(flow, run)
    flow.forge.attest(digest_of(statement), signed(statement, run))
    flow.forge.end(run)
    for crash in range(20):
        steps = iter(range(crash))

        def count(_step: str, steps: Iterator[int] = steps) -> None:
            if next(steps, None) is None:
                raise KeyboardInterrupt

        flow.memory.evidence.before = count
        try:
            flow.tick()
        except KeyboardInterrupt:
            flow.restart()
            continue
        break
    flow.memory.evidence.before = lambda _: None
    flow.tick()
    assert crash > 3
    assert len(flow.builds()) == len(flow.recorded()) == 1
    assert judged(flow, run).verdict.validated


# The workflow's own provenance


def provenance(
    flow: ForgedRuns, *, harm: str = "", about: str = "", build_type: str = WORKFLOW_BUILD, **claims: str
) -> ForgeRun:
    """A run with a receipt by the builder's key, and a workflow's own provenance about its artifact."""
    run = flow.build()
    flow.leave_receipt(run)
    digest = digest_of(statement_of(receipt_of(run)))
    said = workflow_provenance(about or digest).replace(WORKFLOW_BUILD.encode(), build_type.encode())
    made = bundle(said, but(**certified(run, **claims)))
    if harm:
        TAMPERED[harm](made)
    flow.forge.attest(digest, json.dumps(made).encode())
    flow.forge.end(run)
    flow.tick()
    return run


def kept(flow: ForgedRuns, run: ForgeRun) -> tuple[WorkflowProvenance, ...]:
    """What is in the run's record."""
    (recorded,) = judged(flow, run).bundle.platform_runs
    assert isinstance(recorded.found, PlatformRun)
    return recorded.found.provenance


def test_a_workflows_own_provenance_is_joined_to_the_build_by_its_digest(flow: ForgedRuns) -> None:
    run = provenance(flow)
    (said,) = kept(flow, run)
    assert (said.identity, said.revision, said.ref) == (SUBJECT, run.sha, "refs/heads/main")
    assert flow.builds() == [BuildKey(run=str(run.id), attempt=1, system="x86_64-linux")]
    assert letters(flow) == []
    found = of_the_forge(flow, run)
    assert found.verdict is VerdictClass.PASSED
    assert f"and {SUBJECT} attests its artifact" in found.message
    verdict = judged(flow, run).verdict
    assert verdict.validated
    assert said.evidence in verdict.evidence
    assert EvidenceDigest.of(flow.document(said.evidence)) == said.evidence


@pytest.mark.parametrize(
    ("claims", "told"),
    [
        ({"revision": "f" * 40}, f"attests {'f' * 40}"),
        ({"ref": "refs/tags/main"}, "attests refs/tags/main"),
    ],
    ids=["another revision", "a tag that is called like the branch"],
)
def test_a_receipt_that_its_own_runs_provenance_contradicts_is_refused_for_good(
    flow: ForgedRuns, claims: dict[str, str], told: str
) -> None:
    run = provenance(flow, **claims)
    found = of_the_forge(flow, run)
    assert (found.verdict, found.reason) == (VerdictClass.REJECTED_PERMANENTLY, "provenance-contradicts-receipt")
    assert told in found.message


@pytest.mark.parametrize(
    "changes",
    [
        {"subject": STRANGER},
        {"invocation": attempt_url(REPOSITORY, "77", 1)},
        {"invocation": ""},
        {"about": "ab" * 32},
        {"build_type": "https://example.org/build"},
        {"harm": "flipped-signature"},
    ],
    ids=["a stranger's", "of another run", "of no run", "about something else", "another type", "that does not verify"],
)
def test_what_is_no_provenance_of_this_artifact_and_run_by_a_trusted_signer_says_nothing(
    flow: ForgedRuns, changes: dict[str, str]
) -> None:
    run = provenance(flow, **{"revision": "f" * 40, **changes})
    assert kept(flow, run) == ()
    assert judged(flow, run).verdict.validated


@pytest.mark.parametrize("field", ["identity", "issuer", "repositories", "builders", "for_"])
def test_a_signer_who_may_no_longer_speak_says_nothing_any_more(flow: ForgedRuns, field: str) -> None:
    run = provenance(flow, revision="f" * 40)
    keys = flow.flywheel.catalogue.keys
    none: dict[str, Any] = {"identity": STRANGER, "issuer": "https://x.example"}
    changed = keys["workflow"].model_copy(update={field: none.get(field, ())})
    catalogue = flow.flywheel.catalogue.model_copy(update={"keys": {**keys, "workflow": changed}})
    flow.flywheel = replace(flow.flywheel, catalogue=catalogue, opened={})
    assert of_the_forge(flow, run).verdict is VerdictClass.PASSED
    assert "attests" not in of_the_forge(flow, run).message
