"""What of a durable Nix cache is needed by others: everything that is public, or may become so by a workflow."""

from collections.abc import Collection, Iterator
from itertools import chain

from flywheel_assets.domain.artifacts import NixClosure
from flywheel_assets.domain.digests import Sha256
from flywheel_assets.domain.dispatches import Dispatch, DispatchState
from flywheel_assets.domain.errors import FlywheelError
from flywheel_assets.domain.publications import Publication
from flywheel_assets.promotion.dispatches import last_dispatches
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.names_of import is_image, root_in
from flywheel_assets.promotion.reading import one_reading
from flywheel_assets.promotion.went_out import Unread, being_shown, knowing_all, went_out
from flywheel_assets.promotion.withdrawing import receipt_of


def kept_for_others(flywheel: Flywheel, withdrawn: Collection[Sha256]) -> tuple[set[str], tuple[str, ...]]:
    """The store paths of all else, wherever it was published; and a sentence for each of which that cannot be told.

    What is ``withdrawn`` itself keeps nothing alive, whether it is off its surface yet or not. All is read anew.
    """
    flywheel = knowing_all(one_reading(flywheel))
    roots: set[str] = set()
    untold: list[str] = []
    for output in flywheel.catalogue.outputs:
        try:
            for each in (*_public(flywheel, output), *_on_their_way(flywheel, output)):
                if isinstance(each, Unread):
                    untold.append(f"what {each.output} {each.build} needs cannot be told: {each.problem}")
                elif each.artifact_digest not in withdrawn and (root := _root(flywheel, each)):
                    roots.add(root)
        except FlywheelError as error:
            untold.append(f"what {output} needs cannot be told: {error}")
    return roots, tuple(untold)


def _public(flywheel: Flywheel, output: str) -> Iterator[Publication | Unread]:
    for out in chain(went_out(flywheel, output), being_shown(flywheel, output)):
        if isinstance(out, Unread):
            yield out
        elif out.is_public and not is_image(out.publication):
            yield out.publication


def _on_their_way(flywheel: Flywheel, output: str) -> Iterator[Dispatch]:
    for last in last_dispatches(flywheel, output).values():
        if last.state.is_open or last.state is DispatchState.RELEASED:
            yield last


def _root(flywheel: Flywheel, each: Publication | Dispatch) -> str | None:
    """By the record, else by a receipt. Raises EvidenceError."""
    known = root_in(each) if isinstance(each, Publication) else None
    if known is not None:
        return known
    artifact = receipt_of(flywheel, each).artifact
    return artifact.root if isinstance(artifact, NixClosure) else None
