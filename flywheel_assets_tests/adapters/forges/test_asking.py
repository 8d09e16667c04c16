"""Downloads from a forge: what an artifact's answer may be, and where it may lead."""

import pytest

from flywheel_assets.adapters.forges.asking import Asking
from flywheel_assets.adapters.forges.github import GithubRuns
from flywheel_assets.adapters.http.client import HttpClient
from flywheel_assets.adapters.http.credentials import Credentials, Secret
from flywheel_assets.domain.errors import UnreadableError
from flywheel_assets.domain.limits import Limits
from flywheel_assets.domain.platform_runs import PlatformRun
from flywheel_assets.ports import Delivery
from flywheel_assets_tests.forge import REPOSITORY, Github, Left, served
from flywheel_assets_tests.scripted import Answer, Scripted


@pytest.fixture
def source(server: Scripted) -> GithubRuns:
    return GithubRuns(Asking(HttpClient(server.url), {}, Limits(archive_bytes=5000)), "receipt*")


def left(forge: Github, source: GithubRuns) -> tuple[PlatformRun, Left]:
    run = forge.start()
    kept = forge.leave(run, "receipt", one=b"{}")
    forge.end(run)
    found = source.run(REPOSITORY, str(run.id), 1)
    assert found is not None
    return found, kept


def only(source: GithubRuns, run: PlatformRun) -> Delivery:
    (delivery,) = source.receipts(run)
    return delivery


def test_another_media_type_is_no_archive(forge: Github, source: GithubRuns) -> None:
    run, kept = left(forge, source)
    kept.media_type = "text/html; charset=utf-8"
    assert "is text/html, and a zip archive was asked for" in only(source, run).problem


def test_an_archive_that_is_not_what_the_forges_digest_says_is_refused(forge: Github, source: GithubRuns) -> None:
    run, kept = left(forge, source)
    kept.archive = kept.archive[:-1] + b"x"
    assert "the forge's own digest" in only(source, run).problem


def test_an_archive_over_the_limit_is_not_read(forge: Github, source: GithubRuns) -> None:
    run, kept = left(forge, source)
    kept.archive = bytes(5001)
    assert "over 5,000 bytes" in only(source, run).problem


def test_an_archive_that_breaks_off_is_tried_again_and_then_unreadable(
    forge: Github, source: GithubRuns, server: Scripted
) -> None:
    run, kept = left(forge, source)
    whole = Answer(200, {"Content-Type": "application/zip"}, kept.archive)
    cut = Answer(200, {"Content-Type": "application/zip"}, kept.archive[:-9], length=len(kept.archive))
    answers = [cut, whole]
    server.answers[f"/blobs/{kept.id}"] = lambda _: answers.pop(0)
    assert only(source, run).data == b"{}"
    server.answers[f"/blobs/{kept.id}"] = cut
    with pytest.raises(UnreadableError):
        only(source, run)


def test_the_host_of_blobs_is_one_of_the_sources_hosts_and_is_shown_no_token(forge: Github) -> None:
    with served(forge) as blobs, served(forge) as api:
        forge.token = "t0ken"
        client = HttpClient(api.url, Credentials(bearer=Secret("t0ken")), [f"127.0.0.1:{blobs.port}"])
        source = GithubRuns(Asking(client), "receipt*")
        run, kept = left(forge, source)
        place = f"/repos/harbour/tide-clock/actions/artifacts/{kept.id}/zip"
        api.answers[place] = Answer(302, {"Location": f"{blobs.url}/blobs/{kept.id}"})
        assert only(source, run).data == b"{}"
        assert [asked.headers.get("Authorization") for asked in blobs.asked] == [None]
