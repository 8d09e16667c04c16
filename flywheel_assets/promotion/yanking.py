"""What is said of a withdrawal: what was done about it, and who must take away by hand what is still there, and how."""

import re
from collections.abc import Iterable, Iterator

from flywheel_assets.catalog.models import Catalogue
from flywheel_assets.domain.names import STORE_PATH
from flywheel_assets.domain.withdrawals import Withdrawal
from flywheel_assets.gate.case import person

_FLAKE = re.compile(r"flakehub:([^#]+)/([^/#]+)#.+")


def who_yanks(catalogue: Catalogue, surface: str, otherwise: str) -> str:
    """Who owns the surface: nobody else can take away what lies there. ``otherwise`` where it left the catalogue."""
    known = catalogue.surfaces.get(surface)
    return person(catalogue, known.owner) if known else otherwise


def how_to_yank(withdrawal: Withdrawal) -> str:
    """The step that ends it, as it reads behind "needs to". It is seen by a look at the surface, and then recorded."""
    reference, seen = withdrawal.reference, "; `flywheel withdraw --pending` then records that"
    if flake := _FLAKE.fullmatch(reference):
        name, version = flake.groups()
        if name.partition("/")[0].endswith(".invalid"):  # no account can have such a name
            return f"yank {version} of {name} on the stand-in that released it (docs/ownership.md says how){seen}"
        return f"yank {version} at https://flakehub.com/flake/{name}?view=releases, by the wheel of that release{seen}"
    if STORE_PATH.fullmatch(reference.rpartition("#")[2]):
        return f"withdraw what needs {reference.rpartition('#')[2]} on {withdrawal.surface}; that takes it away, too"
    return f"delete {reference} on {withdrawal.surface}, with every tag that names it{seen}"


def to_do(withdrawal: Withdrawal) -> str:
    """Who must take away what is still there, and how; empty when nothing is."""
    return f"{withdrawal.yanked_by} must yank it: {how_to_yank(withdrawal)}." if withdrawal.yanked_by else ""


def what_became(withdrawal: Withdrawal) -> str:
    """What was done about it and when, as the end of a sentence."""
    day = f"{withdrawal.done_at:%Y-%m-%d}"
    if not withdrawal.yanked_by:
        return f"taken off {withdrawal.surface} on {day}"
    marked = f", marked there as withdrawn on {day}" if withdrawal.mark else ""
    return f"still public at {withdrawal.reference}{marked}"


def told(withdrawals: Iterable[Withdrawal]) -> Iterator[str]:
    """What was done, a sentence or two each."""
    for each in withdrawals:
        why = f": {'; '.join(each.unpublished.remaining)}" if each.unpublished.remaining else ""
        if not each.yanked_by:
            names = len(each.unpublished.removed)
            gone = f"withdrawn, {names} name{'' if names == 1 else 's'} removed" if names else "gone, as was seen now"
            yield f"{each.reference}: {gone}" + (", and marked." if each.mark else ".")
        elif each.mark is None:
            yield f"{each.reference}: cannot be taken away from here. {to_do(each)}"
        else:
            yield f"{each.reference}: marked as withdrawn, and still there{why}. {to_do(each)}"
