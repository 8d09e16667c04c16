"""The gate's word on one build, on the evidence, catalogue and time of the very moment it is asked.

Whatever makes something visible asks again right before it does: a hold, a withdrawal, a revocation or the end of an
approval stops it there, however long ago it was let go.
"""

from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.gate.evaluate import Approved, approve
from flywheel_assets.promotion.assembling import assemble
from flywheel_assets.promotion.flywheel import Flywheel


def approved_now(flywheel: Flywheel, output: str, build: BuildKey) -> Approved:
    """What the gate lets out now. Raises PromotionRefusedError with its verdict."""
    return approve(assemble(flywheel, output, build), flywheel.catalogue, flywheel.clock())


def demand_still_approved(flywheel: Flywheel, approved: Approved) -> None:
    """Raises PromotionRefusedError when the gate does not let it out any more."""
    approved_now(flywheel, approved.verdict.output, approved.build)
