"""Where a build that is not in evidence was looked for, what could not be read there, and what brings it.

The inbox and the forge are asked now: what a tick could not read is in no evidence.
"""

from collections.abc import Iterator
from datetime import datetime
from fnmatch import fnmatchcase

from flywheel_assets.catalog.models import ForgeSource
from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.errors import AbsentError, InvalidInputError, ReadError, printable
from flywheel_assets.domain.platform_runs import PlatformRun, run_named
from flywheel_assets.ports import LogEntry
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.intake import RECEIPT, output_log
from flywheel_assets.promotion.lag import undelivered
from flywheel_assets.promotion.ledger import load
from flywheel_assets.promotion.letters import Letter, LetterState, letters
from flywheel_assets.promotion.platform_log import PLATFORM_LOGS, PLATFORM_RUN, entries_about
from flywheel_assets.promotion.reading import indexed

_LETTERS = 3  # that are told in full


def where_sought(flywheel: Flywheel, output: str, build: BuildKey | None = None) -> str:
    """The text, one line for each place. ``output`` is a catalogued one. Raises EvidenceError."""
    repository = flywheel.catalogue.outputs[output].repository
    source = flywheel.catalogue.source_of(repository)
    pattern = source.receipt_artifacts if source else None
    artifact = f", or in an artifact of its run that is called {pattern}" if pattern else ""
    lines = [
        _in_evidence(flywheel, output),
        *_in_inbox(flywheel),
        _at_forge(flywheel, repository, source, build),
        *_unread(flywheel, repository, build),
    ]
    looked = "".join(f"\n  - {printable(line, 600)}" for line in lines)
    remedy = f"Let its job call `flywheel receipt` and leave the receipt in the inbox{artifact}."
    return f"Looked for now, {_at(flywheel.clock())}, in:{looked}\n{remedy} `flywheel run` takes it in."


def _in_evidence(flywheel: Flywheel, output: str) -> str:
    times = [entry.at for entry in indexed(flywheel, output_log(output)).of(RECEIPT) if entry.at is not None]
    return f"evidence: {f'the last receipt of {output} came {_at(max(times))}' if times else f'no receipt of {output}'}"


def _in_inbox(flywheel: Flywheel) -> Iterator[str]:
    damaged: dict[str, None] = {}
    first, problem = undelivered(flywheel, damaged)
    place = f"the inbox {flywheel.catalogue.inbox}"
    if problem:
        yield f"{place} cannot be read: {problem}"
    else:
        yield f"{place}: {f'{first} is not taken in yet' if first else 'nothing that is not in evidence'}"
    yield from (f"evidence that cannot be read: {text}" for text in damaged)


def _at_forge(flywheel: Flywheel, repository: str, source: ForgeSource | None, build: BuildKey | None) -> str:
    name = next((name for name, each in flywheel.catalogue.sources.items() if each is source), None)
    if source is None or name is None:
        return f"forges: none of `sources` knows {repository}, so receipts come by the inbox alone"
    place = f"the source {name}, {repository}"
    if build is None:
        return f"{place}: {_last_heard(flywheel, repository)}"
    run = f"{place}, run {build.run}.{build.attempt}"
    entries = entries_about(flywheel.evidence, repository, build.run, build.attempt)
    records = [entry for entry in entries if entry.kind == PLATFORM_RUN]
    if records:
        return f"{run}: {_recorded(flywheel, records[-1], source.receipt_artifacts)}"
    return f"{run}: {_asked_now(flywheel, name, repository, build)}"


def _last_heard(flywheel: Flywheel, repository: str) -> str:
    logs = (name for name in flywheel.evidence.logs() if name.startswith(PLATFORM_LOGS))
    entries = (entry for name in logs for entry in flywheel.evidence.entries(name))
    times = [entry.at for entry in entries if entry.subject.startswith(f"{repository} ") and entry.at is not None]
    return f"its last run was recorded {_at(max(times))}" if times else "none of its runs is recorded"


def _recorded(flywheel: Flywheel, entry: LogEntry, pattern: str | None) -> str:
    when = f"recorded {_at(entry.at)}" if entry.at else "recorded"
    found = load(flywheel, PlatformRun, entry)
    if found.is_proposal:
        return f"{when}; it is of a fork or a pull request, of which nothing is read"
    if pattern is None:
        return f"{when}; the source names no `receipt_artifacts`, so none of its artifacts was read"
    fitting = sum(fnmatchcase(each.name, pattern) for each in found.artifacts)
    return f"{when}; of its {len(found.artifacts)} artifacts {fitting} are called {pattern} (`receipt_artifacts`)"


def _asked_now(flywheel: Flywheel, name: str, repository: str, build: BuildKey) -> str:
    if not build.run.isdecimal() or name not in flywheel.runs:
        return "no run that a forge could know"
    try:
        found = flywheel.runs[name].run(repository, build.run, build.attempt)
    except AbsentError:
        return "the forge has no such run"
    except (ReadError, InvalidInputError) as error:
        return f"it could not be read: {error}"
    return "it goes on" if found is None else "it has ended, and is not taken in yet"


def _unread(flywheel: Flywheel, repository: str, build: BuildKey | None) -> Iterator[str]:
    """The open letters: those of the very run in full, where there is one; else the first of all."""
    unread = [each for each in letters(flywheel) if each.state is LetterState.OPEN and each.kind == "unreadable"]
    of_run = [each for each in unread if build and run_named(each.name) == (repository, build.run, build.attempt)]
    for letter in (of_run or unread)[:_LETTERS]:
        yield f"letter {letter.number} could not be read: {_told(letter)}"
    if len(unread) > _LETTERS:
        yield f"{len(unread)} letters in all could not be read: `flywheel intake list`"


def _told(letter: Letter) -> str:
    problem = letter.problem.removesuffix(".")
    return problem if problem.startswith(letter.name) else f"{letter.name}: {letter.field}: {problem}"


def _at(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
