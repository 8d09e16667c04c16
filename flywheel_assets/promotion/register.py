"""The ownership register: all that was ever published, who answers for it, why it may be public, and what became of it.

The statement of owners is made when something is published. Where the catalogue has come to say something else since,
it must be made anew, by whoever reviewed that; until then the check over it fails.
"""

from contextlib import suppress
from enum import StrEnum
from typing import Any

from flywheel_assets.catalog.models import Way
from flywheel_assets.domain.builds import BuildKey, Closed
from flywheel_assets.domain.dispatches import DispatchState
from flywheel_assets.domain.errors import EvidenceError, UsageError
from flywheel_assets.domain.publications import Ownership
from flywheel_assets.domain.withdrawals import Restatement
from flywheel_assets.gate.ownership import ownership_of
from flywheel_assets.promotion.dispatches import last_release
from flywheel_assets.promotion.excuses import shown
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.intake import output_log
from flywheel_assets.promotion.ledger import RESTATEMENT, load, record
from flywheel_assets.promotion.markup import document, table, text
from flywheel_assets.promotion.reading import indexed, one_reading
from flywheel_assets.promotion.went_out import Unread
from flywheel_assets.promotion.withdrawing import Public, left_to_do, receipt_of, survey, unrecorded_public

SCHEMA_VERSION = 1
_HEADS = ("output", "state", "builder path", "publication path", "why clean", "since", "surface", "proofs")


class Standing(StrEnum):
    """What became of a publication."""

    SHOWN = "may be public"
    """It was about to be shown, and is not on record, or not yet: consumers may find it, whole or in part."""
    PUBLISHED = "published"
    YANKED = "yanked"
    """FlakeHub resolves to it no more; the cache that carries its closure still holds that."""
    WITHDRAWING = "to be withdrawn"
    WITHDRAWN = "withdrawn"
    MARKED = "to be yanked"


# What a release that went out by a workflow is now.
_STANDING = {
    DispatchState.RELEASED: Standing.PUBLISHED,
    DispatchState.WRONG_RELEASE: Standing.MARKED,
    DispatchState.YANKED: Standing.YANKED,
}


class Entry(Closed):
    """One line of the register; the fields of `flywheel register --json` (docs/json.md).

    ``problem`` says why its statement of owners does not hold any more, ``doubt`` why it should not be public,
    ``to_do`` who takes away what is withdrawn and how, until that was seen gone.
    """

    output: str
    build: str
    digest: str
    state: Standing
    builder_path_owner: str
    publication_path_owner: str
    clean_because: str
    since: str
    surface: str
    way: str
    reference: str
    proofs: tuple[str, ...]
    withdrawn_at: str
    yanked_by: str
    to_do: str
    doubt: str
    problem: str


def register(flywheel: Flywheel) -> list[Entry]:
    """All of it: catalogued outputs in their order, what left the catalogue, then what cannot be read of either.

    Raises FlywheelError when the evidence cannot be listed.
    """
    flywheel = one_reading(flywheel)
    found = survey(flywheel)
    stated = {output: _stated(flywheel, output) for output in {each.publication.output for each in found.public}}
    entries = [_entry(flywheel, each, stated[each.publication.output]) for each in found.public]
    told = {(each.output, each.build) for each in found.unread}
    for each in unrecorded_public(flywheel):
        made = each.publication
        if made.way == Way.COPIES.value and (made.output, str(made.build)) not in told:
            entries.append(_entry(flywheel, each, {}, Standing.SHOWN))
    return entries + [_entry_of_unread(each) for each in found.unread]


def restate(flywheel: Flywheel, output: str) -> list[Restatement]:
    """State anew, by the catalogue of now, who answers for what is public of an output. Raises UsageError."""
    if output not in flywheel.catalogue.outputs:
        raise UsageError(f"The catalogue knows no output {output!r}, so it names nobody who answers for it.")
    made, stated = [], _stated(flywheel, output)
    for public in survey(flywheel).public:
        publication = public.publication
        if publication.output != output or not _problem(flywheel, public, _ownership_stated(public, stated)):
            continue
        ownership = _ownership_now(flywheel, public)
        if isinstance(ownership, str):
            raise UsageError(f"{output} {publication.build}: {ownership}.")
        restatement = Restatement(
            output=output,
            build=publication.build,
            reference=publication.reference,
            ownership=ownership,
            catalogue=flywheel.catalogue.digest,
            stated_at=flywheel.clock(),
        )
        record(flywheel, output, publication.build, RESTATEMENT, restatement)
        made.append(restatement)
    return made


def as_json(flywheel: Flywheel, entries: list[Entry]) -> dict[str, Any]:
    """The document that `flywheel register --json` prints."""
    return {
        "schema": SCHEMA_VERSION,
        "catalogue": {"name": flywheel.catalogue.name, "digest": str(flywheel.catalogue.digest)},
        "published": [entry.model_dump(mode="json") for entry in entries],
    }


def as_markdown(flywheel: Flywheel, entries: list[Entry]) -> str:
    """The register as a page in Markdown; no word of others can end a cell or begin markup."""
    rows = ["# Ownership register", "", _caption(flywheel, entries), ""]
    rows += [f"| {' | '.join(_HEADS)} |", f"|{'---|' * len(_HEADS)}"]
    rows += [f"| {' | '.join(_escaped(cell) for cell in _cells(entry))} |" for entry in entries]
    return "\n".join(rows) + "\n"


def as_html(flywheel: Flywheel, entries: list[Entry]) -> str:
    """The register as a page in HTML, in the style of all other pages."""
    rows = [tuple(text(cell) for cell in _cells(entry)) for entry in entries]
    body = f'<main id="main"><h1>Ownership register</h1>\n{table(_caption(flywheel, entries), _HEADS, rows)}\n</main>'
    return document(f"Ownership register: {flywheel.catalogue.name}", body)


def _stated(flywheel: Flywheel, output: str) -> dict[tuple[BuildKey, str], Ownership]:
    """The newest statements that were made anew; a damaged one is as none, so that it is asked for again."""
    found = {}
    for entry in indexed(flywheel, output_log(output)).of(RESTATEMENT):
        with suppress(EvidenceError):
            made = load(flywheel, Restatement, entry)
            found[made.build, made.reference] = made.ownership
    return found


def _ownership_stated(public: Public, stated: dict[tuple[BuildKey, str], Ownership]) -> Ownership:
    publication = public.publication
    return stated.get((publication.build, publication.reference), publication.ownership)


def _problem(flywheel: Flywheel, public: Public, stated: Ownership) -> str:
    """Why the statement does not hold; nothing of what is withdrawn, which needs nobody who answers for it."""
    if not public.is_public:
        return ""
    now = _ownership_now(flywheel, public)
    if isinstance(now, str):
        return now
    said = (
        ("builder-path owner", stated.builder_path_owner, now.builder_path_owner),
        ("publication-path owner", stated.publication_path_owner, now.publication_path_owner),
        ("reason why it is clean", stated.clean_because, now.clean_because),
    )
    changed = [(what, then or "nothing", today) for what, then, today in said if then != today]
    return "; ".join(f"the {what} was stated as {then}, and is {today}" for what, then, today in changed)


def _ownership_now(flywheel: Flywheel, public: Public) -> Ownership | str:
    """What the catalogue says today; a sentence where it says nothing."""
    publication, catalogue = public.publication, flywheel.catalogue
    output = catalogue.outputs.get(publication.output)
    if output is None:
        return "its output left the catalogue, and nobody answers for what is public of it"
    try:
        builder = receipt_of(flywheel, publication).run.builder
    except EvidenceError as error:
        return f"who answers for its builder path cannot be told: {str(error).removesuffix('.')}"
    if builder not in catalogue.builders:
        return f"the builder {builder} left the catalogue, and nobody owns its path"
    if output.clean_because is None:
        return "the catalogue does not say any more why it is clean enough to stay published"
    return ownership_of(catalogue, output, builder)


def _entry(
    flywheel: Flywheel,
    public: Public,
    stated: dict[tuple[BuildKey, str], Ownership],
    usual: Standing = Standing.PUBLISHED,
) -> Entry:
    publication, withdrawal = public.publication, public.withdrawal
    ownership = _ownership_stated(public, stated)
    return Entry(
        output=publication.output,
        build=str(publication.build),
        digest=str(publication.artifact_digest),
        state=_state(flywheel, public, usual),
        builder_path_owner=ownership.builder_path_owner,
        publication_path_owner=ownership.publication_path_owner,
        clean_because=ownership.clean_because,
        since=publication.published_at.isoformat(),
        surface=publication.surface,
        way=publication.way,
        reference=publication.reference,
        proofs=tuple(dict.fromkeys(str(digest) for digest in publication.proofs)),
        withdrawn_at=withdrawal.done_at.isoformat() if withdrawal else "",
        yanked_by=withdrawal.yanked_by if withdrawal else "",
        to_do=left_to_do(public),
        doubt=public.doubt.message if public.doubt else "",
        problem=_problem(flywheel, public, ownership),
    )


def _state(flywheel: Flywheel, public: Public, usual: Standing) -> Standing:
    if public.withdrawal is not None:
        return Standing.MARKED if public.withdrawal.yanked_by else Standing.WITHDRAWN
    if public.is_due:
        return Standing.WITHDRAWING
    publication = public.publication
    if publication.way == Way.TRIGGERS.value:
        with suppress(EvidenceError):
            last = last_release(flywheel, publication.output, publication.build)
            if last is not None:
                return _STANDING[last.state]
    return usual


def _entry_of_unread(unread: Unread) -> Entry:
    """What went out and cannot be read any more counts as public, and as in doubt."""
    said = {
        "output": unread.output,
        "build": unread.build,
        "state": Standing.PUBLISHED,
        "proofs": (),
        "doubt": f"what went out there cannot be told: {unread.problem.removesuffix('.')}",
    }
    return Entry.model_validate({**dict.fromkeys(Entry.model_fields, ""), **said})


def _cells(entry: Entry) -> tuple[str, ...]:
    problems = "; ".join(each for each in (entry.doubt, entry.problem, entry.to_do) if each)
    return (
        f"{entry.output} {entry.build}",
        entry.state.value + (f" ({problems})" if problems else ""),
        entry.builder_path_owner,
        entry.publication_path_owner,
        entry.clean_because,
        entry.since[:10],
        f"{entry.surface}, {entry.way}: {entry.reference}",
        f"{entry.digest}; {', '.join(entry.proofs)}",
    )


def _caption(flywheel: Flywheel, entries: list[Entry]) -> str:
    public = sum(entry.state is not Standing.WITHDRAWN for entry in entries)
    return f"{len(entries)} artifacts were published, {public} of them are public, on {shown(flywheel.clock())}."


def _escaped(cell: str) -> str:
    plain = " ".join(cell.split())
    return "".join(f"\\{each}" if each in "\\`*_[]<>|#!" else each for each in plain)
