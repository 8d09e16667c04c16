"""Why not, as a chain: whose turn it is in the first line, for every build of the sample and for chains made up."""

from dataclasses import replace
from datetime import timedelta

import pytest

from flywheel_assets.catalog.models import GateException
from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.decisions import Act
from flywheel_assets.domain.errors import UnreadableError
from flywheel_assets.domain.verdicts import VerdictClass
from flywheel_assets.promotion import explaining
from flywheel_assets.promotion.blockers import Blocker, Ends
from flywheel_assets.promotion.excuses import Awaited, Call, Excuse, headline
from flywheel_assets.promotion.explaining import explain_builds
from flywheel_assets.promotion.failures import Cause, note_failure
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.intake import take_in
from flywheel_assets.promotion.judging import judge
from flywheel_assets.promotion.paging import pages_of
from flywheel_assets.promotion.publishing import promote
from flywheel_assets.promotion.report import Row, State
from flywheel_assets.promotion.report import row as of_report
from flywheel_assets.promotion.steps import Step
from flywheel_assets.promotion.went_out import Out
from flywheel_assets_tests.promotion.installation import (
    CLOCK,
    CLOCK_IMAGE,
    DIRTY,
    OLDER,
    SAMPLE_ROWS,
    Memory,
    in_memory,
    judge_all,
    key,
    published,
    resigned,
    sample_catalogue,
)
from flywheel_assets_tests.promotion.people import approve, decided, key_of, with_people

PLATFORM, HARBOR = "(team:tinyland-platform)", "(team:harbor-tools)"

# Of each build of the sample: whose turn it is, who acts, and with what the sentence goes on.
CALLS = {
    "not-the-authority": (Call.NOTHING, "", "is released through"),
    "every-rule-holds": (Call.DONE, "", "published at"),
    "alias": (Call.NOTHING, "", "an alias of"),
    "pull-request": (Call.NOTHING, "", "it shows a proposal"),
    "tree-dirty": (Call.SOMEBODY, PLATFORM, "need to build again from a clean checkout"),
    "bootstrap-unproven": (Call.SOMEBODY, PLATFORM, "need to build again"),
    "validation-failed": (Call.SOMEBODY, HARBOR, "need to mend what failed"),
    "older-than-channel": (Call.NOTHING, "", "is published"),
    "receipt-unsigned": (Call.SOMEBODY, "Builder ", "needs to emit the receipt again"),
    "key-untrusted": (Call.SOMEBODY, HARBOR, "need to emit the receipt again"),
    "body-empty": (Call.SOMEBODY, PLATFORM, "need to push it to the cache again"),
    "body-differs": (Call.SOMEBODY, PLATFORM, "need to find out who pushed"),
    "reference-not-in-receipt": (Call.SOMEBODY, PLATFORM, "need to find out who pushed"),
    "member-missing": (Call.SOMEBODY, PLATFORM, "need to push it to the cache again"),
    "builders-disagree": (Call.SOMEBODY, HARBOR, "need to make the build reproducible"),
    "promotion-on-demand": (Call.SOMEBODY, "A release engineer", "needs to run `flywheel promote sounding-line"),
    "acceleration-only": (Call.NOTHING, "", "accelerates CI"),
    "unknown-output": (Call.SOMEBODY, "The catalogue's maintainers", "to add mystery-box"),
    "unreadable-delivery": (Call.SOMEBODY, "The builder", "needs to mend what it names"),
}


def explained(flywheel: Flywheel, output: str, build: BuildKey) -> Excuse:
    (found,) = explain_builds(flywheel, output, build)
    return found


@pytest.fixture
def memory() -> Memory:
    found = in_memory("144022010", catalogue=with_people())
    take_in(found.flywheel)
    judge_all(found.flywheel)
    return found


# Every build of the sample


@pytest.mark.parametrize(("output", "build", "reason"), [(row[0], row[1], row[4]) for row in SAMPLE_ROWS])
def test_the_first_line_of_each_build_of_the_sample_says_whose_turn_it_is(output: str, build: str, reason: str) -> None:
    flywheel = published().open()
    (excuse,) = [each for each in explain_builds(flywheel, output) if each.row.build == build]
    call, who, says = CALLS[reason]
    first = headline(excuse)
    assert (excuse.call, who in first, says in first) == (call, True, True), first
    assert first.startswith("No action needed: ") == (call is not Call.SOMEBODY)
    assert first.endswith(".")
    assert not first.endswith("..")


# Whose turn it is


def test_a_person_is_told_what_they_must_do_and_who_else(memory: Memory) -> None:
    excuse = explained(memory.flywheel, "tide-clock", CLOCK)
    command = f"run `flywheel approve tide-clock {CLOCK}`"
    everybody = "2 of Alva (alva@example.org), Bo (bo@example.org), Cleo (cleo@example.org)"
    assert headline(excuse) == f"{everybody} need to {command}."
    others = "and besides you Bo (bo@example.org) or Cleo (cleo@example.org)"
    assert headline(excuse, "alva@example.org") == f"You need to {command}, {others}."
    approve(memory.flywheel, "bo", "tide-clock", CLOCK)
    excuse = explained(memory.flywheel, "tide-clock", CLOCK)
    assert headline(excuse) == f"Alva (alva@example.org) or Cleo (cleo@example.org) needs to {command}."
    assert headline(excuse, "cleo@example.org") == f"You need to {command}."
    assert headline(excuse, "bo@example.org").startswith("Alva"), "who approved need not again"


def test_what_is_approved_and_not_out_yet_goes_on_by_itself_and_says_until_when(memory: Memory) -> None:
    for name in ("alva", "bo"):
        approval = approve(memory.flywheel, name, "tide-clock", CLOCK)
    assert headline(explained(memory.flywheel, "tide-clock", CLOCK)).endswith(
        "the next run judges it again, and publishes it."
    )
    judge(memory.flywheel, "tide-clock", CLOCK)
    excuse = explained(memory.flywheel, "tide-clock", CLOCK)
    assert excuse.call is Call.ITSELF
    assert headline(excuse) == "No action needed: every rule holds, and the next run publishes it."
    assert excuse.passes_until == approval.expires_at
    promote(memory.flywheel, "tide-clock", CLOCK)
    assert explained(memory.flywheel, "tide-clock", CLOCK).call is Call.DONE


def test_a_hold_that_ends_needs_nobody_unless_approvals_are_missing_too(memory: Memory) -> None:
    decided(memory.flywheel, "cleo", Act.HOLD, timedelta(days=1), output="tide-clock")
    both = headline(explained(memory.flywheel, "tide-clock", CLOCK))
    assert "need to run `flywheel approve" in both
    assert ". Then it waits until " in both
    for name in ("alva", "bo"):
        approve(memory.flywheel, name, "tide-clock", CLOCK)
    excuse = explained(memory.flywheel, "tide-clock", CLOCK)
    assert headline(excuse).startswith("No action needed: it passes on its own on ")
    assert excuse.passes_at
    assert excuse.passes_at > memory.clock()


def test_going_back_names_who_would_have_to_want_it(memory: Memory) -> None:
    for name in ("alva", "bo"):
        approve(memory.flywheel, name, "tide-clock", CLOCK)
    promote(memory.flywheel, "tide-clock", CLOCK)
    excuse = explained(memory.flywheel, "tide-clock", OLDER)
    first = headline(excuse)
    assert first.startswith("No action needed: ")
    assert f"flywheel approve tide-clock {OLDER} --accept older-than-channel" in first
    assert "If going back is wanted, you need to run `flywheel approve " in headline(excuse, "alva@example.org")
    (older,) = [blocker for blocker in excuse.blockers if blocker.reason == "older-than-channel"]
    assert older.actor == excuse.steps[0].people


def test_it_says_since_when_it_is_so_and_not_since_it_was_judged_last(memory: Memory) -> None:
    since = explained(memory.flywheel, "tide-clock", CLOCK).since
    memory.clock.move(hours=1)
    approve(memory.flywheel, "alva", "tide-clock", CLOCK)
    judge(memory.flywheel, "tide-clock", CLOCK)
    assert explained(memory.flywheel, "tide-clock", CLOCK).since == since
    memory.clock.move(hours=1)
    approve(memory.flywheel, "bo", "tide-clock", CLOCK)
    judge(memory.flywheel, "tide-clock", CLOCK)
    later = explained(memory.flywheel, "tide-clock", CLOCK).since
    assert since
    assert later
    assert later > since


def test_what_passes_by_an_exception_is_told_with_it() -> None:
    known = sample_catalogue()
    clock = known.outputs["tide-clock"].model_copy(update={"clean_because": None})
    until = in_memory("none").clock() + timedelta(days=1)
    entry = GateException(
        rule="ownership_is_documented",
        reason="cleanness-undocumented",
        output="tide-clock",
        owner="harbor",
        because="It is written down tomorrow.",
        until=until,
    )
    changes = {"outputs": {**known.outputs, "tide-clock": clock}, "exceptions": {"for-a-day": entry}}
    memory = in_memory("14402201001", catalogue=known.model_copy(update=changes))
    take_in(memory.flywheel)
    judge_all(memory.flywheel)
    excuse = explained(memory.flywheel, "tide-clock", CLOCK)
    assert [finding.exception for finding in excuse.excepted] == ["for-a-day"]
    assert excuse.passes_until == until
    named = f"for-a-day until {until:%Y-%m-%d %H:%M} UTC"
    assert (excuse.row.exception, excuse.row.message) == (named, f"every rule holds, by the exception {named}")
    page = pages_of(memory.flywheel)["outputs/tide-clock.html"]
    assert "What passes by exception" in page
    assert "It is written down tomorrow" in page


# Chains


def test_what_waits_for_a_dependency_shows_that_builds_own_blockers_and_who_acts_there() -> None:
    memory, name = in_memory("14402201001", "14402201201"), "14402201001-tide-clock.json"
    memory.inbox.documents[name] = resigned(memory.inbox.documents[name], key_of("stranger"), lambda _: None)
    take_in(memory.flywheel)
    judge_all(memory.flywheel)
    excuse = explained(memory.flywheel, "tide-clock-image", CLOCK_IMAGE)
    assert excuse.call is Call.ITSELF, "by itself it has nothing to do"
    (awaited,) = excuse.waits_for
    assert (awaited.output, awaited.build) == ("tide-clock", str(CLOCK))
    assert awaited.excuse
    assert [blocker.reason for blocker in awaited.excuse.blockers] == ["key-untrusted"]
    first = headline(excuse)
    assert "need to emit the receipt again" in first
    assert first.endswith(f"tide-clock {CLOCK} goes first.")


def test_a_dependency_of_which_nothing_has_arrived_is_said_to_be_missing() -> None:
    memory = in_memory("14402201201")
    take_in(memory.flywheel)
    judge_all(memory.flywheel)
    excuse = explained(memory.flywheel, "tide-clock-image", CLOCK_IMAGE)
    assert [(each.output, each.build) for each in excuse.waits_for] == [("tide-clock", "")]
    assert "has arrived" in excuse.waits_for[0].says
    assert excuse.call is Call.ITSELF


def test_a_build_that_waits_for_one_of_newer_source_shows_why_that_one_did_not_go_out() -> None:
    memory = in_memory("144022010")
    take_in(memory.flywheel)
    judge_all(memory.flywheel)
    note_failure(memory.flywheel, "tide-clock", CLOCK, Cause.FAILED, UnreadableError("The disk is full."))
    excuse = explained(memory.flywheel, "tide-clock", OLDER)
    assert excuse.row.reason == "newer-build-goes-first"
    (awaited,) = excuse.waits_for
    assert (awaited.build, awaited.excuse and awaited.excuse.call) == (str(CLOCK), Call.SOMEBODY)
    first = headline(excuse)
    assert HARBOR in first
    assert "need to mend what is said" in first
    assert first.endswith(f"tide-clock {CLOCK} goes first.")


@pytest.mark.parametrize(
    ("reason", "remedy", "actor", "wanted"),
    [
        ("workflow-running", "No action needed: the run is looked at every minute.", "the workflow", Call.ITSELF),
        ("release-awaited", "No action needed for an hour: it is looked for.", "nobody", Call.ITSELF),
        ("workflow-failed", "Mend what is said; then `flywheel promote x y` asks.", "Ann (a@b.org)", Call.SOMEBODY),
        ("another-build-goes-first", f"See `flywheel why-not tide-clock {DIRTY}`.", "Ann (a@b.org)", Call.ITSELF),
    ],
)
def test_a_workflow_under_way_is_a_part_of_the_chain(
    monkeypatch: pytest.MonkeyPatch, reason: str, remedy: str, actor: str, wanted: Call
) -> None:
    memory = in_memory("144022010")
    take_in(memory.flywheel)
    judge_all(memory.flywheel)

    def dispatched(flywheel: Flywheel, name: str, build: BuildKey, out: Out | None, _now: object) -> Row:
        changes = {"reason": reason, "message": "it is on its way", "remedy": remedy, "actor": actor}
        found = of_report(flywheel, name, build, out)
        return found.model_copy(update=changes) if build == CLOCK else found

    monkeypatch.setattr(explaining, "row", dispatched)
    excuse = explained(memory.flywheel, "tide-clock", CLOCK)
    assert excuse.call is wanted
    if excuse.waits_for:
        assert headline(excuse).endswith(f"tide-clock {DIRTY} goes first.")
    elif wanted is Call.ITSELF:
        assert headline(excuse) == "No action needed: it is on its way."
    else:
        assert headline(excuse).startswith("Ann (a@b.org) needs to mend what is said")


def an_excuse(build: str, *steps: Step, waits_for: tuple[Awaited, ...] = ()) -> Excuse:
    row = Row(
        output="tool",
        build=build,
        state=State.REJECTED,
        verdict="waiting",
        reason="dependency-unresolved",
        message="it waits",
        remedy="",
        actor="",
        published_at="",
        settled=True,
    )
    ends = Ends.BY_AN_ACT if steps else Ends.BY_ITSELF
    blocker = Blocker(
        rule="rule", verdict=VerdictClass.WAITING, reason="r", message="it waits", remedy="", actor="", ends=ends
    )
    return Excuse(row=row, blockers=(blocker,), steps=steps, waits_for=waits_for)


def test_the_first_line_names_who_acts_at_the_end_of_a_chain() -> None:
    stuck = an_excuse("3", Step(who=("Ann (ann@example.org)",), what="mend it"))
    middle = an_excuse("2", waits_for=(Awaited("tool", "3", excuse=stuck),))
    chain = an_excuse("1", waits_for=(Awaited("tool", "2", excuse=middle),))
    assert headline(chain) == "Ann (ann@example.org) needs to mend it. tool 3 goes first."
    assert headline(chain, "ann@example.org") == "You need to mend it. tool 3 goes first."
    assert chain.acting is stuck


def test_a_chain_whose_every_part_goes_on_by_itself_needs_nobody() -> None:
    chain = an_excuse("1", waits_for=(Awaited("tool", "2", excuse=an_excuse("2")),))
    assert headline(chain) == "No action needed: it waits."


def test_a_build_that_waits_for_one_that_waits_for_it_ends_the_chain(
    memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def each_other(flywheel: Flywheel, case: object, blockers: object) -> list[tuple[str, str, str]]:
        del flywheel, blockers
        other = OLDER if case.bundle.build == CLOCK else CLOCK  # type: ignore[attr-defined]
        return [("tide-clock", str(other), "")]

    monkeypatch.setattr(explaining, "awaited_builds", each_other)
    (first,) = explained(memory.flywheel, "tide-clock", CLOCK).waits_for
    assert first.excuse
    (second,) = first.excuse.waits_for
    assert (second.build, second.excuse) == (str(CLOCK), None)
    assert second.says == "it waits for this one in turn"


def test_a_long_chain_is_cut_and_says_where_it_goes_on(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [key(f"144022010{number:02}") for number in range(1, 9)]

    def next_one(flywheel: Flywheel, case: object, blockers: object) -> list[tuple[str, str, str]]:
        del flywheel, blockers
        after = keys.index(case.bundle.build) + 1  # type: ignore[attr-defined]
        return [("tide-clock", str(keys[after]), "")] if after < len(keys) else []

    monkeypatch.setattr(explaining, "awaited_builds", next_one)
    found, depth = explained(memory.flywheel, "tide-clock", keys[0]), 0
    while found.waits_for and found.waits_for[0].excuse:
        found, depth = found.waits_for[0].excuse, depth + 1
    assert depth == explaining.DEEPEST - 1
    assert found.waits_for[0].says.startswith("see `flywheel why-not tide-clock ")


def test_what_is_meant_to_be_so_hides_nothing_that_somebody_would_have_to_do_besides() -> None:
    stuck = an_excuse("1", Step(who=("Ann (ann@example.org)",), what="mend it"))
    (blocker,) = stuck.blockers
    meant = blocker.model_copy(update={"message": "no surface is named", "ends": Ends.AS_MEANT})
    excuse = replace(stuck, blockers=(meant, blocker))
    assert headline(excuse) == "No action needed: no surface is named; besides, it waits."
    assert headline(replace(excuse, blockers=(meant,))) == "No action needed: no surface is named."
