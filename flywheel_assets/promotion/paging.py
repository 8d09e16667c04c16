"""Why nothing is stuck without a name: all outputs as static pages, the same bytes for the same evidence.

Of each output the newest builds are told in full, judged on the evidence of now; older ones in a line each, as they
were judged last. No page says what time it is: only what evidence says, and when that was.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.errors import EvidenceError
from flywheel_assets.gate.case import person
from flywheel_assets.promotion.excuses import Call, Excuse, headline
from flywheel_assets.promotion.explaining import excuse_of, of_row
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.intake import output_log
from flywheel_assets.promotion.ledger import builds_of, last_verdicts
from flywheel_assets.promotion.markup import CLASSES, MARK, document, link, moment, table, tag, text
from flywheel_assets.promotion.reading import one_reading
from flywheel_assets.promotion.report import published_builds, unreadable, unrouted
from flywheel_assets.promotion.telling import told

INDEX, NEWEST, ON_A_PAGE = "index.html", 50, 500
__all__ = ("INDEX", "MARK", "NEWEST", "pages_of")


@dataclass(frozen=True, slots=True)
class Told:
    """What is told of one output; ``older`` are build, class, reason and message, ``problem`` why nothing is."""

    name: str
    excuses: tuple[Excuse, ...] = ()
    older: tuple[tuple[str, str, str, str], ...] = ()
    published: tuple[tuple[str, str, datetime], ...] = ()
    problem: str = ""

    @property
    def builds(self) -> int:
        """How many builds there are."""
        return len(self.excuses) + len(self.older)


def pages_of(flywheel: Flywheel, newest: int = NEWEST, on_a_page: int = ON_A_PAGE) -> dict[str, str]:
    """Every page by its name, ``index.html`` among them."""
    flywheel = one_reading(flywheel)
    outputs = [_told(flywheel, name, newest) for name in flywheel.catalogue.outputs]
    pages = {INDEX: _index(flywheel, outputs)}
    for output in outputs:
        parts = [output.older[at : at + on_a_page] for at in range(0, len(output.older), on_a_page)]
        pages[_address(output.name)] = _page(flywheel, output, len(parts))
        for number, part in enumerate(parts, start=2):
            pages[_address(output.name, number)] = _older(output, part, number, len(parts) + 1)
    return pages


def _address(output: str, number: int = 1) -> str:
    """A dot is in no output's name, so that no page takes another's."""
    return f"outputs/{output}.html" if number == 1 else f"outputs/{output}.{number}.html"


def _told(flywheel: Flywheel, name: str, newest: int) -> Told:
    try:
        builds = builds_of(flywheel, name)[::-1]
        published = published_builds(flywheel, name)
        excuses = tuple(excuse_of(flywheel, name, build, published) for build in builds[:newest])
        public = ((str(build), out.publication) for build, out in published.items() if out.is_public)
        out = tuple((build, each.reference, each.published_at) for build, each in public)
        older = tuple(_last_words(flywheel, name, builds[newest:], {build for build, _, _ in out}))
        return Told(name, excuses, older, out)
    except EvidenceError as error:
        return Told(name, problem=str(error))


def _last_words(
    flywheel: Flywheel, name: str, builds: list[BuildKey], published: set[str]
) -> Iterator[tuple[str, str, str, str]]:
    verdicts = last_verdicts(flywheel, name)
    for build in map(str, builds):
        if build not in verdicts:
            yield build, "waiting", "not-judged-yet", "it has arrived and is not judged yet"
            continue
        verdict = verdicts[build]().verdict
        passed = "it is published" if build in published else "every rule holds"
        said = passed if verdict.publishable else verdict.worst.message
        yield build, verdict.verdict.value, verdict.worst.reason, said


def _index(flywheel: Flywheel, outputs: list[Told]) -> str:
    catalogue = flywheel.catalogue
    builds = sum(output.builds for output in outputs)
    as_of = max((at for name in catalogue.outputs for at in _times(flywheel, name)), default=None)
    since = f", as of the evidence of {moment(as_of)}" if as_of else ""
    counted = f"{text(catalogue.name)}: {len(outputs)} outputs, {builds:,} builds{since}"
    rows = [_output_row(flywheel, output) for output in outputs if output.builds or output.problem]
    without = ", ".join(link(_address(o.name), o.name) for o in outputs if not (o.builds or o.problem))
    lacking = f"<p>No build has arrived of {without}.</p>\n" if without else ""
    heads = ("output", "newest build", "builds", "published", "owner")
    return document(
        f"Why is it not published? {catalogue.name}",
        f"<header><h1>Why is it not published?</h1>\n<p>{counted}.</p></header>\n"
        f'<main id="main">\n<h2>Whose turn it is</h2>\n{_turns(outputs, _stray(flywheel))}\n'
        f"<h2>Outputs</h2>\n{table('In the order of the catalogue.', heads, rows)}\n{lacking}</main>\n"
        f'<footer><p class="soft">Catalogue {text(str(catalogue.digest))}.</p></footer>',
    )


def _times(flywheel: Flywheel, name: str) -> list[datetime]:
    """When each piece of evidence about an output came; none of a log that cannot be read, which its page says."""
    with suppress(EvidenceError):
        return [entry.at for entry in flywheel.evidence.entries(output_log(name)) if entry.at is not None]
    return []


def _stray(flywheel: Flywheel) -> list[Excuse]:
    """What belongs to no output; or that it cannot be read."""
    try:
        return [of_row(row) for row in unrouted(flywheel)]
    except EvidenceError as error:
        return [of_row(unreadable("?", "?", str(error)))]


def _turns(outputs: list[Told], stray: list[Excuse]) -> str:
    """What is to be done, by whom: one list for each who must act, who has most to do first."""
    turns: dict[str, list[str]] = {}
    linked = [(excuse, True) for output in outputs for excuse in output.excuses]
    for excuse, is_linked in [*linked, *((excuse, False) for excuse in stray)]:
        for each in excuse.steps if excuse.call is Call.SOMEBODY else ():
            row, named = excuse.row, f"{excuse.row.output} {excuse.row.build}"
            where = link(f"{_address(row.output)}#{_anchor(row.build)}", named) if is_linked else text(named)
            since = f' <span class="soft">since {moment(excuse.since)}</span>' if excuse.since else ""
            turns.setdefault(each.people, []).append(f"<li>{where}: {text(each.what)}{since}</li>\n")
    parts = []
    for people in sorted(turns, key=lambda people: (-len(turns[people]), people)):
        items = "".join(turns[people])
        count = len(turns[people])
        opened = " open" if count <= 10 else ""  # noqa: PLR2004 - what fits a screen
        parts.append(
            f"<details{opened}><summary><strong>{text(people)}</strong> "
            f'<span class="tag act">{count} to do</span></summary><ul>\n{items}</ul></details>'
        )
    return "\n".join(parts) or "<p>Nobody has to do anything.</p>"


def _output_row(flywheel: Flywheel, output: Told) -> tuple[str, ...]:
    owner = text(person(flywheel.catalogue, flywheel.output(output.name).owner))
    name = link(_address(output.name), output.name)
    if output.problem:
        return name, f'<span class="tag act">evidence damaged</span> {text(output.problem)}', "", "", owner
    newest = output.excuses[0]
    said = f"{text(newest.row.build)} {tag(newest.acting.call)}<br>{text(headline(newest))}"
    return name, said, f"{output.builds:,}", f"{len(output.published):,}", owner


def _page(flywheel: Flywheel, output: Told, more: int) -> str:
    entry = flywheel.output(output.name)
    target = entry.publication
    facts = {
        "is": text(entry.definition),
        "owner": text(person(flywheel.catalogue, entry.owner)),
        "goes to": text(f"{target.surface}, {target.promotion}") if target else "nowhere: it is not published",
    }
    if output.published:
        build, reference, at = output.published[-1]
        facts["published last"] = f"{text(build)}, {moment(at)}, as <code>{text(reference)}</code>"
    listed = "".join(f"<dt>{name}</dt><dd>{words}</dd>\n" for name, words in facts.items())
    builds = "\n".join(_build(excuse) for excuse in output.excuses) or "<p>No build has arrived.</p>"
    if output.problem:
        builds = f"<p>{text(output.problem)}</p>"
    pager = f"<nav><p>{link(f'{output.name}.2.html', f'{len(output.older):,} older builds')}</p></nav>" if more else ""
    back = link(f"../{INDEX}", "All outputs")
    return document(
        f"{output.name}: why is it not published?",
        f"<header><nav>{back}</nav><h1>{text(output.name)}</h1><dl>\n{listed}</dl></header>\n"
        f'<main id="main">\n<h2>Builds, the newest first</h2>\n{_filter(output)}\n{builds}\n{pager}\n</main>',
    )


def _filter(output: Told) -> str:
    """Which builds are shown, without a script."""
    counts = {call: sum(excuse.acting.call is call for excuse in output.excuses) for call in Call}
    chosen = [
        f'<label><input type="radio" name="only" id="only-{CLASSES[call]}"> {call.value} ({counts[call]})</label>'
        for call in Call
        if counts[call]
    ]
    if len(chosen) <= 1:
        return ""
    whole = f'<label><input type="radio" name="only" checked> all ({len(output.excuses)})</label>'
    return f"<fieldset><legend>Show</legend>{whole}{''.join(chosen)}</fieldset>"


def _build(excuse: Excuse) -> str:
    row, call = excuse.row, excuse.acting.call
    said = f"<strong>{text(row.build)}</strong> {tag(call)}<br>{text(headline(excuse))}"
    opened = f'<details class="build is-{CLASSES[call]}" id="{_anchor(row.build)}">'
    return f"{opened}<summary>{said}</summary>\n{told(excuse)}\n</details>"


def _anchor(build: str) -> str:
    return "b-" + "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in build)


def _older(output: Told, part: tuple[tuple[str, str, str, str], ...], number: int, last: int) -> str:
    rows = [tuple(map(text, each)) for each in part]
    near = [link(f"{output.name}.html" if number == 2 else f"{output.name}.{number - 1}.html", "newer")]  # noqa: PLR2004
    near += [link(f"{output.name}.{number + 1}.html", "older")] if number < last else []
    heads = ("build", "verdict", "reason", "says")
    return document(
        f"{output.name}, page {number} of {last}",
        f"<header><nav>{link(f'../{INDEX}', 'All outputs')}</nav><h1>{text(output.name)}, page {number} of {last}</h1>"
        f'</header>\n<main id="main">\n{table("As they were judged last.", heads, rows)}\n'
        f"<nav><p>{' · '.join(near)}</p></nav>\n</main>",
    )
