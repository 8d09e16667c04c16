"""What a forge says of a run, and the words that builders and forges share."""

from pydantic import TypeAdapter

from flywheel_assets.domain.platform_runs import AbsentRun, Ending, PlatformRun, RecordedRun
from flywheel_assets_tests.gate.cases import a_run, changed
from flywheel_assets_tests.gate.test_platform import job, record


def test_a_record_reads_back_as_what_it_was_and_never_as_an_absence() -> None:
    absent = AbsentRun(repository="https://forge.example/a/b", run="1", attempt=1)
    for made in (record(), changed(record(), {"found": absent})):
        assert RecordedRun.model_validate_json(made.model_dump_json()) == made
    read = TypeAdapter(PlatformRun | AbsentRun).validate_json(absent.model_dump_json())
    assert isinstance(read, AbsentRun)


def test_a_record_is_about_one_attempt_of_one_run_of_one_repository() -> None:
    run = a_run("nixer")
    assert record().is_of(run)
    assert not record(attempt=2).is_of(run)
    assert not record(run="101").is_of(run)
    assert not record(repository="https://github.com/example/elsewhere").is_of(run)


def test_a_job_that_was_left_out_was_on_no_runner() -> None:
    found = record(jobs=(job(), job(ending=Ending.SKIPPED), job(label="other"))).found
    assert isinstance(found, PlatformRun)
    assert found.on("nixer") == (job(),)
    assert found.on("nobody") == ()


def test_names_of_people_differ_by_more_than_their_case() -> None:
    run = a_run("nixer")
    for actor, told in (("SOMEONE", ""), ("someone-else", "someone-else")):
        found = record(actors=(actor,)).found
        assert isinstance(found, PlatformRun)
        assert told in found.disagreement(run)
        assert bool(found.disagreement(run)) is bool(told)
