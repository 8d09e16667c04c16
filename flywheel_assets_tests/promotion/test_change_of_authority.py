"""The worked example of a change of release authority: the sample judged under it, step by step."""

import pytest

from flywheel_assets.catalog.models import Catalogue
from flywheel_assets.domain.evidence import EvidenceBundle
from flywheel_assets.domain.verdicts import Finding, VerdictClass
from flywheel_assets.gate.evaluate import evaluate
from flywheel_assets.promotion.assembling import assemble
from flywheel_assets.promotion.flywheel import under
from flywheel_assets.promotion.ledger import builds_of
from flywheel_assets.wiring import SAMPLE, SAMPLE_CATALOGUE, Settings, read_catalogue
from flywheel_assets_tests.promotion.installation import Installation, published

EXAMPLE = SAMPLE / "change-of-authority.yaml"
OUTPUT = "runner-dashboard"


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return read_catalogue(Settings(published().home, (*SAMPLE_CATALOGUE, EXAMPLE)))


@pytest.fixture(scope="module")
def bundle(catalogue: Catalogue) -> EvidenceBundle:
    installation: Installation = published()
    flywheel = under(installation.open(), catalogue)
    (build,) = builds_of(flywheel, OUTPUT)
    return assemble(flywheel, OUTPUT, build)


def authority(bundle: EvidenceBundle, catalogue: Catalogue) -> Finding:
    now = bundle.receipts[0].receipt.run.finished_at
    found = evaluate(bundle, catalogue, now).findings
    return next(finding for finding in found if finding.rule == "release_authority_holds")


def test_the_authority_stays_what_it_is_and_four_gates_are_asked_for(catalogue: Catalogue) -> None:
    product = catalogue.products[OUTPUT]
    assert product.authority == "runner-dashboard-image"
    assert product.change is not None
    assert (product.change.to, len(product.change.gates)) == (OUTPUT, 4)
    wanted = {name for gate in product.change.gates for name in gate.validations}
    assert wanted == set(catalogue.validations_of(catalogue.outputs[OUTPUT]))


def test_the_samples_derivation_meets_what_its_validations_show_and_nothing_that_nobody_has_shown(
    bundle: EvidenceBundle, catalogue: Catalogue
) -> None:
    found = authority(bundle, catalogue)
    assert (found.verdict, found.reason) == (VerdictClass.WAITING, "authority-gates-unmet")
    assert "2 of its 4 gates are not met" in found.message
    assert "Its source scope is bounded" in found.message
    assert "It is documented how the output is consumed (none of vera, nils has signed that it is met)" in found.message
    assert found.remedy.endswith("`flywheel meet runner-dashboard 'It is documented how the output is consumed.'`")


def test_with_every_gate_shown_the_change_holds_and_without_its_validations_it_does_not(
    bundle: EvidenceBundle, catalogue: Catalogue
) -> None:
    product = catalogue.products[OUTPUT]
    assert product.change is not None
    by_note = {"met_by": "a note", "decided_by": ()}
    gates = tuple(g if g.validations else g.model_copy(update=by_note) for g in product.change.gates)
    change = product.change.model_copy(update={"gates": gates})
    shown = catalogue.model_copy(update={"products": {OUTPUT: product.model_copy(update={"change": change})}})
    assert authority(bundle, shown).verdict is VerdictClass.PASSED
    assert authority(bundle.model_copy(update={"canonical": None}), shown).reason == "canonical-unpublished"
    undeclared = product.model_copy(update={"change": change, "canonical": None})
    alone = shown.model_copy(update={"products": {OUTPUT: undeclared}})
    assert authority(bundle, alone).reason == "canonical-undeclared"
    run = bundle.receipts[0].receipt.run.model_copy(update={"validations": ()})
    receipt = bundle.receipts[0].receipt.model_copy(update={"run": run})
    untested = bundle.model_copy(
        update={"receipts": (bundle.receipts[0].model_copy(update={"receipt": receipt}),), "tests": ()}
    )
    assert "pnpm check, pnpm test, pnpm build did not pass for this build" in authority(untested, shown).message


def test_the_example_is_not_part_of_the_sample_itself() -> None:
    assert EXAMPLE not in SAMPLE_CATALOGUE
