"""`flywheel run` without its UI: after a failure was mended, one more run is all it takes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.errors import FlywheelError
from flywheel_assets.orchestration.drain import Drained, drain
from flywheel_assets.orchestration.requests import ATTEMPTS
from flywheel_assets.promotion.publishing import promote
from flywheel_assets_tests.orchestration.bench import ENTRY, PUBLISHED, VALIDATED, Bench, bench, deliver, key

GOOD, OLDER = key(14402201001), key(14402201006)
EMPTY, MISSING = key(14402201101), key(14402201104)


def drained(bench: Bench) -> Drained:
    return drain(bench.pipeline, bench.instance, lambda _text, _done, _total: None)


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Bench]:
    """One good build in evidence, and nothing done yet."""
    with bench(tmp_path, "14402201001-tide-clock") as opened:
        opened.ask()
        yield opened


def log_lengths(bench: Bench) -> dict[str, int]:
    return {log: len(bench.flywheel.evidence.entries(log)) for log in bench.flywheel.evidence.logs()}


def test_what_a_cache_could_not_serve_goes_out_with_the_next_run_after_it_was_mended(one: Bench) -> None:
    nar = one.nar_of("tide-clock", GOOD)
    body = nar.read_bytes()
    nar.write_bytes(b"")
    drained(one)
    assert one.row("tide-clock", GOOD).reason == "body-empty"
    nar.write_bytes(body)
    again = drained(one)
    assert (again.failures, again.problems) == ([], [])
    assert one.materialized(PUBLISHED, "tide-clock") == {GOOD}


def test_what_reads_as_before_makes_no_run_no_event_and_no_evidence(tmp_path: Path) -> None:
    with bench(tmp_path, "14402201101-chart-plotter", "14402201104-chart-plotter") as opened:
        drained(opened)
        assert {opened.row("chart-plotter", build).reason for build in (EMPTY, MISSING)} == {
            "body-empty",
            "member-missing",
        }
        before = log_lengths(opened)
        again = drained(opened)
        assert (again.runs, again.taken.total, again.problems) == (0, 0, [])
        assert log_lengths(opened) == before
        assert [len(opened.observed(VALIDATED, "chart-plotter", build)) for build in (EMPTY, MISSING)] == [1, 1]


def test_a_publication_that_failed_too_often_is_tried_once_in_each_further_run_and_goes_out_when_mended(
    one: Bench, capfd: pytest.CaptureFixture[str]
) -> None:
    name = one.take_name("tide-clock", GOOD)
    first = drained(one)
    assert len(first.failures) == ATTEMPTS
    (said,) = set(first.failures)
    assert said.startswith(f"tide-clock {GOOD} is not published: ")
    assert "\n" not in said
    (problem,) = first.problems
    assert problem.startswith(
        f"publishing tide-clock {GOOD} failed in 3 runs. `flywheel why-not tide-clock {GOOD}` says"
    )
    assert "`flywheel run` tries it again" in problem
    assert len(drained(one).failures) == 1
    assert "Stack Trace" not in "".join(capfd.readouterr())
    name.unlink()
    mended = drained(one)
    assert (mended.runs, mended.failures, mended.problems) == (1, [], [])
    assert one.materialized(PUBLISHED, "tide-clock") == {GOOD}
    assert drained(one).runs == 0


def test_damage_to_one_outputs_evidence_is_told_and_the_others_go_on(tmp_path: Path) -> None:
    with bench(tmp_path, "14402201001-tide-clock", "14402201501-ci-toolchain") as opened:
        opened.ask()
        (entry, *_) = (opened.settings.home / "evidence" / "logs" / "output-ci-toolchain").iterdir()
        whole = entry.read_bytes()
        entry.write_bytes(b"{}")
        deliver(opened.settings.home, "14402201301-sounding-line")
        broken = drained(opened)
        assert opened.materialized(PUBLISHED, "tide-clock") == {GOOD}
        assert [output for output, _ in broken.taken.builds] == ["sounding-line"]
        assert any("evidence log output-ci-toolchain" in problem for problem in broken.problems)
        entry.write_bytes(whole)
        assert drained(opened).problems == []
        assert opened.materialized(ENTRY, "ci-toolchain") == {key(14402201501)}


def test_an_inbox_that_is_gone_is_told_and_what_is_in_evidence_goes_on(one: Bench) -> None:
    inbox = one.settings.home / "sample" / "inbox"
    inbox.rename(inbox.with_name("elsewhere"))
    gone = drained(one)
    assert one.materialized(PUBLISHED, "tide-clock") == {GOOD}
    assert any(problem.startswith("The inbox") for problem in gone.problems)


def test_what_was_promoted_by_hand_after_its_runs_failed_is_shown_and_settled(one: Bench) -> None:
    name = one.take_name("tide-clock", GOOD)
    drained(one)
    drained(one)
    name.unlink()
    promote(one.flywheel, "tide-clock", BuildKey.parse(GOOD))
    assert all(run.success for run in one.settle()), "the sensor alone settles it too"
    assert one.materialized(PUBLISHED, "tide-clock") == {GOOD}
    last = drained(one)
    assert (last.runs, last.problems) == (0, [])


def test_a_judgement_that_failed_too_often_is_tried_again_too(one: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise FlywheelError("The cache is on fire.")

    monkeypatch.setattr("flywheel_assets.orchestration.assets.judge", fail)
    first = drained(one)
    assert set(first.failures) == {f"tide-clock could not be judged: {GOOD}: The cache is on fire."}
    (problem,) = first.problems
    assert problem.startswith(f"judging tide-clock {GOOD} failed in 3 runs. The newest of them, in the UI, says why")
    monkeypatch.undo()
    assert drained(one).problems == []
    assert one.materialized(PUBLISHED, "tide-clock") == {GOOD}


def test_an_error_that_nobody_expected_is_one_line_that_names_the_run(
    one: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("flywheel_assets.orchestration.assets.judge", fail)
    said = drained(one).failures[0]
    run = one.instance.get_runs()[-1].run_id
    assert said == f"judge tide-clock {GOOD}: the page of run {run} in the UI shows why"
