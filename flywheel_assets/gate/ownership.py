"""Phase 6: who answers for the builder path and the publication path, and why may it stay published?"""

from collections.abc import Iterator

from flywheel_assets.catalog.models import Catalogue, Output
from flywheel_assets.domain.publications import Ownership
from flywheel_assets.domain.verdicts import About, Finding, Phase, VerdictClass
from flywheel_assets.gate.case import Answer, Case, needs_receipt, person
from flywheel_assets.gate.exceptions import first_standing

_answer = Answer("ownership_is_documented", Phase.OWNERSHIP)


@needs_receipt(_answer)
def ownership_is_documented(case: Case) -> Finding:
    """Builder-path owner, publication-path owner, and why it is clean enough to stay published."""
    return first_standing(case, _of_owners(case))


def _of_owners(case: Case) -> Iterator[Finding]:
    if case.builder is None:
        yield _answer(
            VerdictClass.REJECTED_TEMPORARILY,
            "builder-path-unowned",
            f"nobody is catalogued as owner of the builder {case.receipt.run.builder}",
            remedy="Add the builder with its owner.",
            actor=case.catalogue_owner,
            about=About.POLICY,
        )
    if case.output.clean_because is None:
        yield _answer(
            VerdictClass.REJECTED_TEMPORARILY,
            "cleanness-undocumented",
            "nothing says why it is clean enough to stay published",
            remedy="Say so under `clean_because`.",
            actor=case.catalogue_owner,
            about=About.POLICY,
        )
    yield _answer.passed(f"builder path: {case.builder_owner}; publication path: {case.owner}")


def ownership_of(catalogue: Catalogue, output: Output, builder: str) -> Ownership:
    """The statement that goes into the record of a publication."""
    return Ownership(
        builder_path_owner=person(catalogue, catalogue.builders[builder].owner),
        publication_path_owner=person(catalogue, output.owner),
        clean_because=output.clean_because or "",
    )
