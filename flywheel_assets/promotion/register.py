"""The ownership register: all that was ever published, who answers for it, why it may be public, and what became of it.

The statement of owners is made when something is published. Where the catalogue has come to say something else since,
it must be made anew, by whoever reviewed that; until then the check over it fails.
"""

from enum import StrEnum
from typing import Any

from flywheel_assets.domain.builds import Closed
from flywheel_assets.domain.errors import UsageError
from flywheel_assets.domain.publications import Ownership
from flywheel_assets.domain.withdrawals import Restatement
from flywheel_assets.gate.ownership import ownership_of
from flywheel_assets.promotion.excuses import shown
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.intake import output_log
from flywheel_assets.promotion.ledger import RESTATEMENT, publications, record, restatements
from flywheel_assets.promotion.markup import document, table, text
from flywheel_assets.promotion.withdrawing import Public, public_of, receipt_of

SCHEMA_VERSION = 1
_HEADS = ("output", "state", "builder path", "publication path", "why clean", "since", "surface", "proofs")


class Standing(StrEnum):
    """What became of a publication."""

    PUBLISHED = "published"
    WITHDRAWING = "to be withdrawn"
    WITHDRAWN = "withdrawn"
    MARKED = "to be yanked"


class Entry(Closed):
    """One line of the register; the fields of `flywheel register --json` (docs/json.md).

    ``problem`` says why its statement of owners does not hold any more, ``doubt`` why it should not be public.
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
    doubt: str
    problem: str


def register(flywheel: Flywheel) -> list[Entry]:
    """All of it: catalogued outputs in their order, then those that left the catalogue. Raises EvidenceError."""
    known = [entry for output in flywheel.catalogue.outputs for entry in register_of(flywheel, output)]
    return known + [entry for output in _gone(flywheel) for entry in _of_unknown(flywheel, output)]


def register_of(flywheel: Flywheel, output: str) -> list[Entry]:
    """That of one output. Raises EvidenceError."""
    stated = {(each.build, each.reference): each.ownership for each in restatements(flywheel, output)}
    found = []
    for public in public_of(flywheel, output):
        publication = public.publication
        ownership = stated.get((publication.build, publication.reference), publication.ownership)
        problem = _problem(flywheel, public, ownership) if public.is_public else ""
        found.append(_entry(public, ownership, problem))
    return found


def restate(flywheel: Flywheel, output: str) -> list[Restatement]:
    """State anew, by the catalogue of now, who answers for what is public of an output. Raises UsageError."""
    if output not in flywheel.catalogue.outputs:
        raise UsageError(f"The catalogue knows no output {output!r}, so it names nobody who answers for it.")
    entries = {(each.build, each.reference): each for each in register_of(flywheel, output)}
    made = []
    for public in public_of(flywheel, output):
        publication = public.publication
        if not entries[str(publication.build), publication.reference].problem:
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


def _problem(flywheel: Flywheel, public: Public, stated: Ownership) -> str:
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
    output = catalogue.outputs[publication.output]
    builder = _builder(flywheel, public)
    if builder not in catalogue.builders:
        return f"the builder {builder} left the catalogue, and nobody owns its path"
    if output.clean_because is None:
        return "the catalogue does not say any more why it is clean enough to stay published"
    return ownership_of(catalogue, output, builder)


def _builder(flywheel: Flywheel, public: Public) -> str:
    return receipt_of(flywheel, public.publication).run.builder


def _entry(public: Public, ownership: Ownership, problem: str) -> Entry:
    publication, withdrawal = public.publication, public.withdrawal
    state = Standing.WITHDRAWING if public.is_due else Standing.PUBLISHED
    if withdrawal is not None:
        state = Standing.MARKED if withdrawal.yanked_by else Standing.WITHDRAWN
    return Entry(
        output=publication.output,
        build=str(publication.build),
        digest=str(publication.artifact_digest),
        state=state,
        builder_path_owner=ownership.builder_path_owner,
        publication_path_owner=ownership.publication_path_owner,
        clean_because=ownership.clean_because,
        since=publication.published_at.isoformat(),
        surface=publication.surface,
        way=publication.way,
        reference=publication.reference,
        proofs=tuple(str(digest) for digest in publication.proofs),
        withdrawn_at=withdrawal.done_at.isoformat() if withdrawal else "",
        yanked_by=withdrawal.yanked_by if withdrawal else "",
        doubt=public.doubt.message if public.doubt else "",
        problem=problem,
    )


def _gone(flywheel: Flywheel) -> list[str]:
    """The outputs that left the catalogue."""
    prefix = output_log("")
    names = (log.removeprefix(prefix) for log in flywheel.evidence.logs() if log.startswith(prefix))
    return sorted(name for name in names if name not in flywheel.catalogue.outputs)


def _of_unknown(flywheel: Flywheel, output: str) -> list[Entry]:
    problem = "its output left the catalogue, and nobody answers for what is public of it"
    return [
        _entry(Public(publication, None, None, None), publication.ownership, problem)
        for publication in publications(flywheel, output)
    ]


def _cells(entry: Entry) -> tuple[str, ...]:
    problems = "; ".join(each for each in (entry.doubt, entry.problem, _yank(entry)) if each)
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


def _yank(entry: Entry) -> str:
    return f"{entry.yanked_by} must yank it" if entry.yanked_by else ""


def _caption(flywheel: Flywheel, entries: list[Entry]) -> str:
    public = sum(entry.state is not Standing.WITHDRAWN for entry in entries)
    return f"{len(entries)} artifacts were published, {public} of them are public, on {shown(flywheel.clock())}."


def _escaped(cell: str) -> str:
    plain = " ".join(cell.split())
    return "".join(f"\\{each}" if each in "\\`*_[]<>|#!" else each for each in plain)
