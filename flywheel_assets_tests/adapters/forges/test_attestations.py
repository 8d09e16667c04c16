"""Attestations by digest: bundles as the list holds them or leads to them, and what else may lie there."""

import pytest

from flywheel_assets.adapters.forges.asking import Asking
from flywheel_assets.adapters.forges.github import GithubRuns
from flywheel_assets.adapters.forges.gitlab import GitlabRuns
from flywheel_assets.adapters.http.client import HttpClient
from flywheel_assets.adapters.http.credentials import Credentials, Secret
from flywheel_assets.domain.digests import Sha256
from flywheel_assets.domain.errors import RateLimitedError, UnauthorisedError, UnreadableError
from flywheel_assets.domain.limits import Limits
from flywheel_assets.ports import Delivery
from flywheel_assets_tests.forge import REPOSITORY, Github, packed, served
from flywheel_assets_tests.scripted import Answer, Scripted

DIGEST = Sha256.of(b"artifact")
BUNDLE = b'{"dsseEnvelope":{},"mediaType":"x"}'
SMALL = Limits(attestations=3, receipt_bytes=1000, signature_material_bytes=0)


@pytest.fixture
def source(server: Scripted) -> GithubRuns:
    return GithubRuns(Asking(HttpClient(server.url), {}, SMALL))


def found(source: GithubRuns) -> list[Delivery]:
    return list(source.attestations(REPOSITORY, DIGEST))


def problem(source: GithubRuns) -> str:
    (delivery,) = found(source)
    assert delivery.data is None
    return delivery.problem


@pytest.mark.parametrize("packing", ["inline", "snappy", "suffix", "plain"])
def test_a_bundle_is_the_same_bytes_however_the_forge_hands_it_out(
    forge: Github, source: GithubRuns, packing: str
) -> None:
    forge.attest(DIGEST.hex, BUNDLE, packing=packing)
    (delivery,) = found(source)
    assert delivery.data == BUNDLE
    assert str(DIGEST) in delivery.name


def test_no_attestation_of_a_digest_is_nothing_and_a_hidden_repository_is_no_such_answer(
    forge: Github, source: GithubRuns
) -> None:
    assert found(source) == []
    forge.is_hidden = True
    with pytest.raises(UnauthorisedError, match="token"):
        found(source)


def test_an_empty_list_is_nothing(source: GithubRuns, server: Scripted) -> None:
    server.answers[f"/repos/harbour/tide-clock/attestations/{DIGEST}"] = Answer(200, {}, b'{"attestations": []}')
    assert found(source) == []


def test_a_token_that_may_not_see_attestations_is_refused(forge: Github, source: GithubRuns) -> None:
    forge.shows_attestations = False
    with pytest.raises(UnauthorisedError):
        found(source)


def test_a_rate_limit_is_one_here_too(forge: Github, source: GithubRuns) -> None:
    forge.limit = Answer(429, {"Retry-After": "30"})
    with pytest.raises(RateLimitedError):
        found(source)


@pytest.mark.parametrize("body", [b"<html>", b"{}" * 2, b'{"attestations": 1}', b'{"attestations": [[]]}'])
def test_a_list_that_is_none_is_one_problem(source: GithubRuns, server: Scripted, body: bytes) -> None:
    server.answers[f"/repos/harbour/tide-clock/attestations/{DIGEST}"] = Answer(200, {}, body)
    assert "attestations of sha256:" in problem(source)


@pytest.mark.parametrize(
    ("packing", "blob", "told"),
    [
        ("nowhere", None, "holds neither a bundle nor its URL"),
        ("snappy", Answer(404), "was deleted"),
        ("snappy", Answer(410), "was deleted"),
        ("suffix", Answer(200, {}, b"no block"), "no whole Snappy block"),
        ("suffix", Answer(200, {}, packed(b"x" * 1501)[:9]), "unpacks to 1,501 bytes"),
        ("plain", Answer(200, {}, b"x" * 1501), "over 1,500 bytes"),
    ],
)
def test_a_bundle_that_is_gone_spoilt_or_too_large_is_a_problem_and_its_neighbours_are_read(
    forge: Github, source: GithubRuns, packing: str, blob: Answer | None, told: str
) -> None:
    forge.attest(DIGEST.hex, BUNDLE, packing=packing, blob=blob)
    forge.attest(DIGEST.hex, BUNDLE)
    first, second = found(source)
    assert first.data is None
    assert told in first.problem
    assert "s3cret" not in first.problem
    assert second.data == BUNDLE


def test_a_blob_that_fails_may_be_read_another_time(forge: Github, source: GithubRuns) -> None:
    forge.attest(DIGEST.hex, BUNDLE, blob=Answer(503))
    with pytest.raises(UnreadableError):
        found(source)


def test_no_more_are_read_than_the_limit_and_that_there_may_be_more_is_told(forge: Github, source: GithubRuns) -> None:
    for _ in range(5):
        forge.attest(DIGEST.hex, BUNDLE)
    *bundles, last = found(source)
    assert [each.data for each in bundles] == [BUNDLE] * 3
    assert "are more than 3" in last.problem


@pytest.mark.parametrize("kept", [1, 2, 3])
def test_as_many_as_the_limit_are_all_of_them(forge: Github, source: GithubRuns, kept: int) -> None:
    for _ in range(kept):
        forge.attest(DIGEST.hex, BUNDLE)
    assert [each.data for each in found(source)] == [BUNDLE] * kept


def test_a_list_goes_on_where_its_pages_say_and_is_read_again_from_what_did_not_change(
    forge: Github, source: GithubRuns
) -> None:
    forge.attestations_at_once = 2
    for number in range(3):
        forge.attest(DIGEST.hex, b'{"mediaType":"%d"}' % number)
    for _ in range(2):
        assert [each.data for each in found(source)] == [b'{"mediaType":"%d"}' % number for number in range(3)]
    assert forge.unchanged == 2


def test_where_the_limit_ends_in_the_middle_of_the_pages_that_is_told(forge: Github, source: GithubRuns) -> None:
    for at_once in (1, 2, 3):
        forge.attestations_at_once = at_once
        forge.attested.clear()
        for _ in range(4):
            forge.attest(DIGEST.hex, BUNDLE)
        *bundles, last = found(source)
        assert (len(bundles), last.data) == (3, None)
        assert "are more than 3" in last.problem


def test_pages_that_never_end_are_left_after_the_limit_and_that_is_told(source: GithubRuns, server: Scripted) -> None:
    path = f"/repos/harbour/tide-clock/attestations/{DIGEST}"
    server.answers[path] = Answer(200, {"Link": f'<{path}?after=x>; rel="next"'}, b'{"attestations": []}')
    assert "go on for more than 10 pages" in problem(source)
    assert len(server.asked) == 10


def test_a_page_that_leads_off_the_forge_is_a_problem(source: GithubRuns, server: Scripted) -> None:
    leads = {"Link": '<https://elsewhere.example/x>; rel="next"'}
    server.answers[f"/repos/harbour/tide-clock/attestations/{DIGEST}"] = Answer(200, leads, b'{"attestations": []}')
    assert "elsewhere.example" in problem(source)


def test_the_host_of_bundles_is_one_of_the_sources_hosts_and_is_shown_no_token(forge: Github) -> None:
    forge.token = "t0ken"
    with served(forge) as api, served(forge) as blobs:  # the last one is where bundles are said to lie
        forge.attest(DIGEST.hex, BUNDLE)
        shown = Credentials(bearer=Secret("t0ken"))
        source = GithubRuns(Asking(HttpClient(api.url, shown, [f"127.0.0.1:{blobs.port}"])))
        assert [each.data for each in found(source)] == [BUNDLE]
        assert [asked.headers.get("Authorization") for asked in blobs.asked] == [None]


def test_a_host_that_is_not_named_yet_leaves_the_bundle_for_another_time(forge: Github, source: GithubRuns) -> None:
    forge.attest(DIGEST.hex, BUNDLE)
    forge.url = "http://blobs.example"
    with pytest.raises(UnreadableError, match=r"blobs\.example"):
        found(source)


def test_of_gitlab_nothing_is_asked() -> None:
    assert list(GitlabRuns(Asking(HttpClient("http://127.0.0.1:9"))).attestations(REPOSITORY, DIGEST)) == []
