"""Observing: what another workflow published is recorded once all that the catalogue asks for lies beside it."""

import json
from base64 import b64decode
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flywheel_assets.adapters.signatures.annotations import LOG_ENTRY
from flywheel_assets.adapters.signatures.verifier import SignatureVerifier
from flywheel_assets.catalog.models import Catalogue, Purpose
from flywheel_assets.domain.decisions import Act
from flywheel_assets.domain.digests import EvidenceDigest, Sha256
from flywheel_assets.domain.envelopes import COSIGN_SIGNATURE
from flywheel_assets.domain.errors import PromotionRefusedError, ReadBackError
from flywheel_assets.domain.image_signatures import COSIGN_SIGN_V1
from flywheel_assets.domain.publications import Attached, Form, Proof, Publication
from flywheel_assets.promotion.assembling import assemble
from flywheel_assets.promotion.flywheel import silent
from flywheel_assets.promotion.intake import take_in
from flywheel_assets.promotion.ledger import PUBLICATION
from flywheel_assets.promotion.publishing import plan_promotion, promote
from flywheel_assets_tests.adapters.signatures.make_vectors import SCAN, statement, workflow_provenance
from flywheel_assets_tests.adapters.signatures.miniature import (
    ISSUER,
    SUBJECT,
    Person,
    attestation_annotations,
    bundle,
    but,
    envelope_of,
    message_bundle,
    signature_annotations,
    simple_signing,
    text,
    trusted_root,
)
from flywheel_assets_tests.fakes import FakeClock, FakeSurface, members_of
from flywheel_assets_tests.promotion.installation import (
    DASHBOARD_IMAGE,
    Memory,
    a_signer,
    in_memory,
    judged,
    promote_at_once,
    resigned,
    sample_catalogue,
    statement_of,
)
from flywheel_assets_tests.promotion.people import decided, with_people

OUTPUT = "runner-dashboard-image"
OWN = "14402201902-runner-dashboard-image.json"
RECEIPT = "14402201001-tide-clock.json"
SBOM = "https://spdx.dev/Document"
IMAGE = Sha256.from_hex("1d0eb0696b359ad1ddbaa22b2ecd5663ad0b277b7fee97acec9e85cdc42bea76")
OTHER = "0" * 64
SOURCE = {
    "repository": sample_catalogue().outputs[OUTPUT].repository,
    "revision": "ada9ae8b772951fa5116557a89b62511ae9dff5c",
}


@pytest.fixture
def memory() -> Memory:
    return taken_in(sample_catalogue())


def taken_in(catalogue: Catalogue) -> Memory:
    made = in_memory(catalogue=catalogue)
    take_in(made.flywheel)
    return made


def records(memory: Memory) -> int:
    return [entry.kind for entry in memory.evidence.entries(f"output-{OUTPUT}")].count(PUBLICATION)


def observed(memory: Memory, *proofs: Attached) -> FakeSurface:
    """The image as its own workflow has published it, with these beside it."""
    surface = memory.surfaces["ghcr"]
    receipt = assemble(memory.flywheel, OUTPUT, DASHBOARD_IMAGE).receipts[0].receipt
    surface.bodies.update({member: digest for member, (digest, _) in members_of(receipt.artifact).items()})
    surface.names[f"sha-{str(receipt.run.source.revision)[:12]}"] = receipt.artifact.digest.hex
    surface.attached[receipt.artifact.digest.hex] = {f"proof-{n}": proof for n, proof in enumerate(proofs)}
    return surface


def own(memory: Memory) -> Attached:
    """The receipt that the image's workflow attached."""
    return Attached(data=memory.inbox.documents[OWN])


def test_an_observed_surface_is_read_and_never_written(memory: Memory) -> None:
    surface = observed(memory, own(memory))
    done = promote_at_once(memory.flywheel, OUTPUT, DASHBOARD_IMAGE)
    assert surface.steps == ["plan", "proofs", "read_back"]
    assert done.publication.way == "observes"
    assert done.copied == ()
    assert done.publication.proofs == (EvidenceDigest.of(own(memory).data),)
    assert memory.evidence.slots == {}, "no summary of ours is put beside it"


@pytest.mark.parametrize("step", ["plan", "proofs", "read_back"])
def test_what_is_held_while_it_is_looked_at_is_not_recorded_as_published(step: str) -> None:
    memory = taken_in(with_people(OUTPUT, needed=0))
    surface = observed(memory, own(memory))

    def hook(name: str) -> None:
        if name == step:
            decided(memory.but(), "cleo", Act.HOLD, output=OUTPUT)

    surface.before = hook
    with pytest.raises(PromotionRefusedError) as refused:
        promote(memory.flywheel, OUTPUT, DASHBOARD_IMAGE)
    assert refused.value.verdict.worst.reason == "held"
    assert records(memory) == 0


def test_an_observed_surface_on_a_folder_keeps_every_byte(tmp_path: Path) -> None:
    place = judged(tmp_path / "home")
    before = place.files("surfaces")
    promote(place.open(), OUTPUT, DASHBOARD_IMAGE)
    assert place.files("surfaces") == before


def test_an_observed_image_that_is_not_there_yet_is_not_pushed(memory: Memory) -> None:
    surface = memory.surfaces["ghcr"]
    with pytest.raises(ReadBackError, match=r"is published by its own workflow, and .* is not at .* yet"):
        promote(memory.flywheel, OUTPUT, DASHBOARD_IMAGE)
    assert surface.steps == ["plan"]
    assert records(memory) == 0


@pytest.mark.parametrize(
    "beside", ["nothing", "garbage", "unsigned", "a stranger's", "another image's", "a closure's", "a test result"]
)
def test_an_observed_image_without_provenance_by_a_trusted_signer_is_not_recorded(memory: Memory, beside: str) -> None:
    document = memory.inbox.documents[OWN]
    proofs = {
        "nothing": (),
        "garbage": (b"", b"{}", b"\xff", b'{"payload":"e30="}'),
        "unsigned": (json.dumps(statement_of(document)).encode(),),
        "a stranger's": (resigned(document, a_signer("stranger"), lambda said: said),),
        "another image's": (memory.inbox.documents["14402201701-harbor-map-image.json"],),
        "a closure's": (memory.inbox.documents[RECEIPT],),
        "a test result": (memory.inbox.documents["14402201902-trivy-scan.json"],),
    }[beside]
    surface = observed(memory, *(Attached(data=proof, form=form) for proof in proofs for form in Form))
    with pytest.raises(ReadBackError, match="carries no provenance by a signer whom the catalogue trusts"):
        promote(memory.flywheel, OUTPUT, DASHBOARD_IMAGE)
    assert "reveal" not in surface.steps
    assert records(memory) == 0


# Where the catalogue names signers


def asking(*attestations: str, **signer: Any) -> Catalogue:
    """The sample's catalogue, in which the workflow must have signed the image and attested these."""
    catalogue = sample_catalogue()
    changed = {"public_key": None, "issuer": ISSUER, "identity": SUBJECT, "for_": (Purpose.IMAGES,), **signer}
    keys = {**catalogue.keys, "workflow": catalogue.keys["image-workflow"].model_copy(update=changed)}
    output = catalogue.outputs[OUTPUT]
    assert output.publication is not None
    target = output.publication.model_copy(update={"signers": ("workflow",), "attestations": attestations})
    outputs = {**catalogue.outputs, OUTPUT: output.model_copy(update={"publication": target})}
    return catalogue.model_copy(update={"keys": keys, "outputs": outputs, "trust_root": trusted_root()})


BY = but(**SOURCE)
"""The workflow, in a run of the receipt's own source."""


def bundled(made: dict[str, Any]) -> Attached:
    return Attached(data=json.dumps(made).encode(), form=Form.BUNDLE)


def image_signature(digest: str = IMAGE.hex, who: Person = BY) -> Attached:
    payload = simple_signing(f"sha256:{digest}")
    return Attached(data=payload, form=Form.SIMPLE_SIGNING, annotations=signature_annotations(payload, who))


def scan(digest: str = IMAGE.hex, who: Person = BY, predicate_type: str = SCAN, **predicate: Any) -> Attached:
    return bundled(bundle(statement(predicate_type, predicate, digest), who))


def promoted(catalogue: Catalogue, *proofs: Attached, provenance: Attached | None = None) -> tuple[Memory, Publication]:
    memory = taken_in(catalogue)
    observed(memory, provenance or own(memory), *proofs)
    flywheel = memory.but(verifier=SignatureVerifier(catalogue.trust_root))
    return memory, promote_at_once(flywheel, OUTPUT, DASHBOARD_IMAGE).publication


def refusal(catalogue: Catalogue, *proofs: Attached, provenance: Attached | None = None) -> str:
    with pytest.raises(ReadBackError) as refused:
        promoted(catalogue, *proofs, provenance=provenance)
    return str(refused.value)


def test_signature_and_attestations_are_recorded_with_the_provenance() -> None:
    memory, publication = promoted(asking(SCAN, SBOM), scan(predicate_type=SBOM), scan(), image_signature())
    provenance, signature, first, second = (memory.evidence.get(digest) for digest in publication.proofs)
    assert provenance == memory.inbox.documents[OWN]
    assert json.loads(signature)["annotations"] == image_signature().annotations
    assert [first, second] == [scan().data, scan(predicate_type=SBOM).data]


SIGNATURES = {
    "simple signing": image_signature,
    "statement in a bundle": lambda: bundled(bundle(statement(COSIGN_SIGN_V1, {}, IMAGE.hex), BY)),
    "bare signature in a bundle": lambda: bundled(message_bundle(bytes.fromhex(IMAGE.hex), BY)),
}


@pytest.mark.parametrize("made", SIGNATURES.values(), ids=SIGNATURES.keys())
def test_an_image_signature_counts_in_each_form(made: Callable[[], Attached]) -> None:
    _, publication = promoted(asking(), made())
    assert len(publication.proofs) == 2


def test_a_signature_by_a_key_counts_like_a_keyless_one() -> None:
    signer = a_signer("workflow")
    payload = simple_signing(f"sha256:{IMAGE.hex}")
    beside = {COSIGN_SIGNATURE: text(signer.sign_bytes(payload))}
    signature = Attached(data=payload, form=Form.SIMPLE_SIGNING, annotations=beside)
    _, publication = promoted(asking(public_key=signer.public_key, issuer=None, identity=None), signature)
    assert len(publication.proofs) == 2


def test_an_attestation_of_cosigns_first_format_counts() -> None:
    payload = statement(SCAN, {}, IMAGE.hex)
    envelope = envelope_of(payload)
    attested = Attached(data=json.dumps(envelope).encode(), annotations=attestation_annotations(envelope, payload, BY))
    assert len(promoted(asking(SCAN), image_signature(), attested)[1].proofs) == 3


def test_what_a_workflow_attached_in_a_layout_is_found_and_counts(tmp_path: Path) -> None:
    """The real surface: cosign's tag of signatures, and a bundle among the referrers."""
    catalogue = asking(SCAN)
    flywheel = replace(
        judged(tmp_path / "home").open(),
        catalogue=catalogue,
        verifier=SignatureVerifier(catalogue.trust_root),
        clock=FakeClock(),
    )
    with pytest.raises(ReadBackError, match="carries no signature by workflow"):
        promote(flywheel, OUTPUT, DASHBOARD_IMAGE)
    signature, scanned = image_signature(), scan()
    proofs = [
        Proof(name="signature", predicate_type="", envelope=signature.data, **_beside(signature)),
        Proof(name="scan", predicate_type=SCAN, envelope=scanned.data, **_beside(scanned)),
    ]
    plan, surface = plan_promotion(flywheel, OUTPUT, DASHBOARD_IMAGE), flywheel.surfaces["ghcr", "oci-staging"]
    surface.copy(plan, silent)
    surface.attach(plan, proofs)
    publication = promote_at_once(flywheel, OUTPUT, DASHBOARD_IMAGE).publication
    kept = [flywheel.evidence.get(digest) for digest in publication.proofs[1:]]
    assert kept == [proof.document for proof in proofs]


def _beside(attached: Attached) -> dict[str, Any]:
    return {"form": attached.form, "annotations": attached.annotations}


NO_SIGNATURE = f"carries no signature by workflow over sha256:{IMAGE.hex}."
NO_SCAN = f"carries no attestation {SCAN} by workflow about sha256:{IMAGE.hex}."
STRANGER = but(subject="https://github.com/stranger/x/.github/workflows/x.yml@refs/heads/main")


@pytest.mark.parametrize(
    ("proofs", "sentences"),
    [
        ((), [NO_SIGNATURE, NO_SCAN]),
        ((scan(),), [NO_SIGNATURE]),
        ((image_signature(),), [NO_SCAN]),
        ((image_signature(OTHER), scan(OTHER)), [NO_SIGNATURE, NO_SCAN]),
        ((image_signature(who=STRANGER), scan(who=STRANGER)), [NO_SIGNATURE, NO_SCAN]),
        ((image_signature(), scan(predicate_type=SBOM)), [NO_SCAN]),
        ((scan(), bundled(bundle(statement(COSIGN_SIGN_V1, {}, OTHER), BY))), [NO_SIGNATURE]),
        ((scan(), bundled(message_bundle(bytes.fromhex(OTHER), BY))), [NO_SIGNATURE]),
        ((scan(), Attached(data=b"{}", form=Form.SIMPLE_SIGNING)), [NO_SIGNATURE]),
    ],
)
def test_each_thing_that_lacks_is_named_with_who_acts(proofs: tuple[Attached, ...], sentences: list[str]) -> None:
    said = refusal(asking(SCAN), *proofs)
    assert [sentence for sentence in (NO_SIGNATURE, NO_SCAN) if sentence in said] == sentences
    assert said.startswith(f"fake:{OUTPUT}@sha256:{IMAGE.hex} carries no ")
    assert said.endswith(
        "Let the publishing workflow attach what is missing: "
        "Runner dashboard maintainers, tinyland-inc (team:tinyland-dashboard)."
    )


def test_what_claims_to_be_by_a_signer_and_is_not_says_why() -> None:
    good = image_signature()
    unlogged = {name: value for name, value in good.annotations.items() if name != LOG_ENTRY}
    said = refusal(asking(), good.model_copy(update={"annotations": unlogged}))
    assert NO_SIGNATURE in said
    assert "proof 1 is not signed by workflow: expected exactly one log entry beside the signature." in said


@pytest.mark.parametrize(
    "trust",
    [
        {"repositories": ("https://github.com/other/x",)},
        {"builders": ("other",)},
        {"for_": (Purpose.RECEIPTS,)},
    ],
    ids=["repository", "builder", "receipts only"],
)
def test_a_signer_who_may_not_speak_for_the_build_does_not_count(trust: dict[str, Any]) -> None:
    assert NO_SIGNATURE in refusal(asking(**trust), image_signature())


def test_a_trusted_key_that_is_none_of_the_signers_does_not_count() -> None:
    catalogue = asking()
    keys = {**catalogue.keys, "another": catalogue.keys["workflow"], "workflow": catalogue.keys["image-workflow"]}
    assert NO_SIGNATURE in refusal(catalogue.model_copy(update={"keys": keys}), image_signature())


@pytest.mark.parametrize(
    "elsewhere",
    [{"revision": "f" * 40}, {"repository": "https://github.com/example/tools"}],
    ids=["another revision", "another repository"],
)
def test_what_a_shared_workflow_signed_for_another_source_does_not_count(elsewhere: dict[str, str]) -> None:
    who = but(**{**SOURCE, **elsewhere})
    repositories = (SOURCE["repository"], "https://github.com/example/tools")
    said = refusal(asking(SCAN, repositories=repositories), image_signature(who=who), scan(who=who))
    assert NO_SIGNATURE in said
    assert NO_SCAN in said


def test_a_receipt_that_its_own_certificate_contradicts_is_no_provenance() -> None:
    """The attack on a shared workflow: called from elsewhere, it signs a receipt in our name."""
    payload = b64decode(json.loads(in_memory(OWN).inbox.documents[OWN])["payload"])
    both = asking(for_=tuple(Purpose))
    promoted(both, image_signature(), provenance=bundled(bundle(payload, BY)))
    forged = bundled(bundle(payload, but(**{**SOURCE, "revision": "f" * 40})))
    assert "carries no provenance by a signer" in refusal(both, image_signature(), provenance=forged)


def test_what_a_later_run_of_the_same_source_signed_counts_unless_it_is_a_receipt() -> None:
    payload = b64decode(json.loads(in_memory(OWN).inbox.documents[OWN])["payload"])
    later = but(**SOURCE, invocation=f"{SOURCE['repository']}/actions/runs/99/attempts/1")
    both = asking(SCAN, for_=tuple(Purpose))
    promoted(both, image_signature(who=later), scan(who=later))
    forged = bundled(bundle(payload, later))
    assert "carries no provenance by a signer" in refusal(both, image_signature(), scan(), provenance=forged)


def test_a_key_for_images_only_gives_no_provenance() -> None:
    payload = b64decode(json.loads(in_memory(OWN).inbox.documents[OWN])["payload"])
    said = refusal(asking(), image_signature(), provenance=bundled(bundle(payload, BY)))
    assert "carries no provenance by a signer" in said


TESTED = "https://in-toto.io/attestation/test-result/v0.1"


@pytest.mark.parametrize(
    ("results", "counts"),
    [(["PASSED"], True), (["WARNED"], True), (["FAILED"], False), (["PASSED", "FAILED"], False), ([""], False)],
)
def test_an_attested_test_result_counts_where_none_has_failed(results: list[str], counts: bool) -> None:
    proofs = [scan(predicate_type=TESTED, result=result) for result in results]
    if counts:
        assert len(promoted(asking(TESTED), image_signature(), *proofs)[1].proofs) == 3
    else:
        sentence = f"carries no attestation {TESTED} by workflow about sha256:{IMAGE.hex} that is free of failures."
        assert sentence in refusal(asking(TESTED), image_signature(), *proofs)


def test_a_failure_that_the_signer_found_in_a_later_run_is_heard() -> None:
    later = scan(who=but(**{**SOURCE, "revision": "f" * 40}), predicate_type=TESTED, result="FAILED")
    passed = scan(predicate_type=TESTED, result="PASSED")
    assert "that is free of failures" in refusal(asking(TESTED), image_signature(), passed, later)


def test_of_what_is_no_test_result_only_the_existence_counts() -> None:
    """As docs/signers.md says."""
    assert len(promoted(asking(SCAN), image_signature(), scan(result="FAILED"))[1].proofs) == 3


# A workflow's own provenance


def provenance(digest: str = IMAGE.hex, **changes: Any) -> Attached:
    return bundled(bundle(workflow_provenance(digest), but(**{**SOURCE, **changes})))


def test_a_workflows_own_provenance_counts_where_its_certificate_names_the_receipts_source() -> None:
    memory, publication = promoted(asking(), image_signature(), provenance=provenance())
    assert memory.evidence.get(publication.proofs[0]) == provenance().data


@pytest.mark.parametrize(
    "made",
    [
        provenance(OTHER),
        provenance(revision="f" * 40),
        provenance(revision=""),
        provenance(repository="https://github.com/stranger/x"),
        provenance(subject=STRANGER.subject),
        bundled(bundle(statement("https://slsa.dev/provenance/v1", {}, IMAGE.hex), but(**SOURCE))),
        bundled(bundle(statement(SCAN, {"buildDefinition": {}}, IMAGE.hex), but(**SOURCE))),
    ],
    ids=[
        "another image",
        "another revision",
        "none",
        "another repository",
        "a stranger",
        "another build type",
        "a scan",
    ],
)
def test_a_workflows_provenance_of_something_else_does_not_count(made: Attached) -> None:
    said = refusal(asking(), image_signature(), provenance=made)
    assert f"carries no provenance by a signer whom the catalogue trusts for {OUTPUT}." in said


def test_a_workflows_provenance_is_nothing_where_the_catalogue_names_no_signers() -> None:
    catalogue = asking()
    output = catalogue.outputs[OUTPUT]
    assert output.publication is not None
    target = output.publication.model_copy(update={"signers": ()})
    outputs = {**catalogue.outputs, OUTPUT: output.model_copy(update={"publication": target})}
    assert "no provenance" in refusal(catalogue.model_copy(update={"outputs": outputs}), provenance=provenance())
