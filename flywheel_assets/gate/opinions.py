"""Which opinions are independent: those that have nothing in common that could make both wrong together."""

from collections import Counter

from flywheel_assets.domain.evidence import AttestedReceipt
from flywheel_assets.domain.platform_runs import PlatformRun
from flywheel_assets.gate.case import Case

_BUILDER = "the builder "
_TRIED = 2000


def marks_of(case: Case, attested: AttestedReceipt) -> frozenset[str]:
    """Whatever two independent opinions must not have in common: builder, run, signers, the machines they ran on."""
    run = attested.receipt.run
    found, repository = case.recorded(run), run.source.repository
    ran = found.jobs_of(run) if isinstance(found, PlatformRun) else ()
    runners = {f"the runner {job.runner}" for job in ran}
    signers = {f"the signer {name}" for name in attested.signatures.keys}
    return frozenset({f"{_BUILDER}{run.builder}", f"run {run.key.run} of {repository}", *signers, *runners})


def most_apart(opinions: list[frozenset[str]], enough: int) -> int:
    """How many of the opinions have no mark in common with each other, counted up to ``enough``.

    Exact, so that one more opinion never makes fewer; only of some hundred that share this and that with each other
    not every choice is tried, and too few may be counted. One of each builder can count, and a mark that only one
    opinion has stands in nobody's way, so that few are left to be tried.
    """
    often = Counter(mark for marks in opinions for mark in marks)
    of_builder: dict[str, set[frozenset[str]]] = {}
    for marks in opinions:
        (builder,) = (mark for mark in marks if mark.startswith(_BUILDER))
        of_builder.setdefault(builder, set()).add(frozenset(m for m in marks if often[m] > 1 and m != builder))
    return _best([_freest(of_builder[builder]) for builder in sorted(of_builder)], enough, frozenset(), {})


def _freest(opinions: set[frozenset[str]]) -> list[frozenset[str]]:
    """Without those that share all that another one shares, and more."""
    return sorted((one for one in opinions if not any(other < one for other in opinions)), key=sorted)


def _best(
    choices: list[list[frozenset[str]]],
    enough: int,
    taken: frozenset[str],
    known: dict[tuple[int, int, frozenset[str]], int],
) -> int:
    """The most that can be chosen, one of each of ``choices`` at most, none with a mark that is ``taken``."""
    most = min(len(choices), enough)
    place = (len(choices), enough, taken)
    if most == 0 or (place not in known and len(known) >= _TRIED):
        return 0
    if place not in known:
        known[place] = best = 0
        free = (marks for marks in choices[0] if not marks & taken)
        while best < most and (marks := next(free, None)) is not None:
            best = max(best, 1 + _best(choices[1:], enough - 1, taken | marks, known))
        known[place] = best if best == most else max(best, _best(choices[1:], enough, taken, known))
    return known[place]
