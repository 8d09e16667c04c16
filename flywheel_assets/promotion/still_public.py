"""What is public while somebody decides about it, as sentences: a hold leaves it there, a withdrawal takes it away."""

from itertools import chain

from flywheel_assets.catalog.models import Way
from flywheel_assets.domain.decisions import Scope
from flywheel_assets.domain.publications import Publication
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.went_out import Out, Unread, being_shown, knowing_all, went_out
from flywheel_assets.promotion.yanking import who_yanks


def what_a_hold_leaves(flywheel: Flywheel, scope: Scope) -> str:
    """What of a held output, or at all, is public and stays so; empty where nothing is. What cannot be read may be."""
    names = [scope.output] if scope.output else list(flywheel.catalogue.outputs)
    found = (each for name in names for each in chain(went_out(flywheel, name), being_shown(flywheel, name)))
    out = [each for each in found if isinstance(each, Unread) or each.is_public]
    if not out:
        return ""
    if scope.output and len(out) == 1 and isinstance(out[0], Out):
        made = out[0].publication
        takes = f"`flywheel withdraw {made.output} {made.build}` takes it away"
        return f"It is public at {made.reference}, and stays so: {takes}."
    what = f"{len(out)} publications of it are public and stay so" if scope.output else "What is public stays so"
    return f"{what}: `flywheel register` lists that, and `flywheel withdraw` takes it away."


def where_it_is(flywheel: Flywheel, scope: Scope) -> list[str]:
    """Where what is to be withdrawn is public now, and what becomes of it there; that it is nowhere.

    Raises FlywheelError when the evidence cannot be listed.
    """
    flywheel, name = knowing_all(flywheel), scope.output or ""
    found = [*went_out(flywheel, name), *being_shown(flywheel, name)]
    unread = [f"and {each.build} may be: {each.problem}" for each in found if isinstance(each, Unread)]
    made = [each.publication for each in found if isinstance(each, Out) and each.is_public]
    of_it = [each for each in made if scope.digest is not None and each.artifact_digest.hex == scope.digest.hex]
    said = [f"public at {each.reference}, {_what_becomes(flywheel, each)}" for each in of_it]
    return (said or ["public nowhere, and never to be"]) + unread


def _what_becomes(flywheel: Flywheel, publication: Publication) -> str:
    """Only what this pipeline copied it can take away."""
    if publication.way == Way.COPIES.value:
        return f"and taken off {publication.surface}"
    who = who_yanks(flywheel.catalogue, publication.surface, publication.ownership.publication_path_owner)
    binaries = f", and its closure is taken off {publication.binaries}" if publication.binaries else ""
    return f"which {who} must take away there{binaries}"
