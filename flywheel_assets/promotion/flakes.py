"""The release of a flake that a build stands for, and whether it was asked for already on behalf of another build."""

from collections.abc import Iterable

from flywheel_assets.catalog.models import PublicationTarget
from flywheel_assets.domain.builds import BuilderRun, BuildKey
from flywheel_assets.domain.dispatches import Dispatch
from flywheel_assets.domain.names import version_of_tag
from flywheel_assets.domain.publications import FlakeRelease
from flywheel_assets.gate.case import trusted_keys
from flywheel_assets.promotion.assembling import assemble
from flywheel_assets.promotion.dispatches import asked_already, last_dispatches
from flywheel_assets.promotion.flywheel import Flywheel


def flake_release(run: BuilderRun, target: PublicationTarget) -> FlakeRelease | None:
    """How a workflow is to release it; the gate has seen to it that the receipt names what this needs."""
    flake = target.flake
    if flake is None:
        return None
    return FlakeRelease(
        name=flake.name,
        version=version_of_tag(run.source.ref) if flake.versions == "tag" else None,
        revision=run.source.revision,
        attribute=run.definition or "",
        repository=run.source.repository,
        workflow=flake.workflow,
        ref=flake.ref,
    )


def asked_of_another(
    flywheel: Flywheel, output: str, build: BuildKey, found: Iterable[Dispatch] | None = None
) -> Dispatch | None:
    """The request of another build for the very release that this one stands for, unless it came to nothing or is out.

    ``found`` is how far each build has come, where that is known. Raises EvidenceError.
    """
    target = flywheel.output(output).publication
    if target is None or target.flake is None:
        return None
    found = list(last_dispatches(flywheel, output).values() if found is None else found)
    receipts = assemble(flywheel, output, build).receipts if found else ()
    attested = next((each for each in receipts if trusted_keys(flywheel.catalogue, each)), None)
    flake = flake_release(attested.receipt.run, target) if attested else None
    return asked_already(found, build, target.surface, flake) if flake else None
