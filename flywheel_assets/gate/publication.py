"""Phase 5: may this go to that surface, and now?"""

from flywheel_assets.catalog.models import Visibility
from flywheel_assets.domain.names import version_of_tag
from flywheel_assets.domain.verdicts import About, Finding, Phase, VerdictClass
from flywheel_assets.gate.approvals import is_accepted
from flywheel_assets.gate.authority import change_to
from flywheel_assets.gate.case import Answer, Case, needs_receipt

_order = Answer("source_order_is_kept", Phase.PUBLICATION)
_surface = Answer("durable_surface_exists", Phase.PUBLICATION)


@needs_receipt(_order)
def source_order_is_kept(case: Case) -> Finding:
    """Not older than what the surface already holds of this output."""
    head, source = case.bundle.channel, case.receipt.run.source
    if head is None or head.revision == source.revision:
        return _order.passed("nothing newer is published")
    published = "was published, and withdrawn since" if head.withdrawn else "is published"
    if head.committed_at is None or source.committed_at is None:
        return _order(
            VerdictClass.CANNOT_DETERMINE,
            "order-unknown",
            f"{head.build} {published}, and one of the two receipts does not say when its source was committed",
            remedy="Build again, and emit the receipt with the commit's time.",
            actor=case.builder_owner,
        )
    if source.committed_at < head.committed_at and is_accepted(case, "older-than-channel"):
        return _order.passed(f"older than {head.build}, which {published}, and that is approved")
    if source.committed_at < head.committed_at:
        approving = f"`flywheel approve {case.bundle.output} {case.bundle.build} --accept older-than-channel` says so"
        return _order(
            VerdictClass.NEEDS_APPROVAL,
            "older-than-channel",
            f"its source is of {source.committed_at:%Y-%m-%d}, and {head.build} of "
            f"{head.committed_at:%Y-%m-%d} {published}",
            remedy=f"Decide whether to go back to it: {approving}; or publish a newer one."
            if head.withdrawn
            else f"No action needed, unless going back is wanted: then {approving}.",
            actor=case.owner,
        )
    return _order.passed(f"newer than {head.build}, which {published}")


def durable_surface_exists(case: Case) -> Finding:
    """The catalogue names a durable surface, whose visibility fits the source's and which can name this build."""
    target = case.output.publication
    if target is None:
        return _surface(
            VerdictClass.REJECTED_PERMANENTLY,
            "no-durable-surface",
            "the catalogue names no durable surface for it",
            remedy="Name a surface under `publication`, or declare no change of release authority to it."
            if change_to(case)
            else "No action needed, unless it is to be published: then name a surface under `publication`.",
            actor=case.catalogue_owner,
            about=About.POLICY,
        )
    surface = case.catalogue.durable(target.surface)
    untagged = [ref for ref in (each.receipt.run.source.ref for each in case.authentic) if not version_of_tag(ref)]
    if target.flake and target.flake.versions == "tag" and untagged:
        return _surface(
            VerdictClass.REJECTED_PERMANENTLY,
            "no-version-tag",
            f"it was built from {untagged[0]}, and {target.flake.name} takes its versions from tags",
            remedy="Push a tag such as v1.2.3: its build is released under that version.",
            actor=case.owner,
            about=About.POLICY,
        )
    source = case.catalogue.repositories[case.output.repository].visibility
    if surface.visibility is Visibility.PUBLIC and source is not Visibility.PUBLIC and target.disclosure is None:
        return _surface(
            VerdictClass.NEEDS_APPROVAL,
            "disclosure-undecided",
            f"its source is {source.value} and {target.surface} is public: that must be a decision",
            remedy="Write down who decided it, and why, under `publication.disclosure`.",
            actor=case.catalogue_owner,
            about=About.POLICY,
        )
    return _surface.passed(
        f"{target.surface} ({surface.protocol}, retention never), which this pipeline {target.way.value}"
    )
