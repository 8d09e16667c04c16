"""Uploads that break again and again: patience lasts as long as it is worth something."""

from collections.abc import Iterator

import pytest

from flywheel_assets.adapters.http.retrying import ATTEMPTS
from flywheel_assets.adapters.oci.registry import MAX_ROUNDS, Registry
from flywheel_assets.domain.digests import BlobDigest
from flywheel_assets.domain.errors import UnreadableError
from flywheel_assets.domain.limits import KIB, MIB
from flywheel_assets_tests.scripted import Answer, Asked, Scripted

DATA = b"content!" * (4 * MIB // 8)


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _seconds: None)


class Breaking:
    """A registry that keeps ``step`` bytes more of each body, breaks, and takes the last ones."""

    def __init__(self, scripted: Scripted, step: int) -> None:
        self.step, self.kept, self.sent = step, 0, 0
        scripted.answers["POST /v2/a/b/blobs/uploads/"] = Answer(202, {"Location": "/upload"})
        scripted.answers["/upload"] = self.go_on

    def go_on(self, asked: Asked) -> Answer:
        if asked.method == "GET":
            return Answer(204, {"Range": f"0-{self.kept - 1}", "Location": "/upload"})
        if asked.method == "PUT" and self.kept == len(DATA):
            return Answer(201)
        self.sent += 1
        self.kept = min(self.kept + self.step, len(DATA))
        if asked.method == "PATCH" and self.kept == len(DATA):
            return Answer(202, {"Location": "/upload"})
        return Answer(500)


class Source:
    """A blob that is read anew for each attempt."""

    def __iter__(self) -> Iterator[bytes]:
        return iter([DATA])


def test_an_upload_that_comes_on_may_break_as_often_as_it_likes(scripted: Scripted) -> None:
    registry = Breaking(scripted, step=300 * KIB)
    assert Registry(scripted.url).repository("a/b").put_blob(Source(), BlobDigest.of(DATA), len(DATA))
    assert registry.sent > ATTEMPTS


@pytest.mark.parametrize("step", [2, 100 * KIB])
def test_an_upload_that_hardly_comes_on_is_given_up(scripted: Scripted, step: int) -> None:
    registry = Breaking(scripted, step)
    with pytest.raises(UnreadableError):
        Registry(scripted.url).repository("a/b").put_blob(Source(), BlobDigest.of(DATA), len(DATA))
    assert registry.sent == ATTEMPTS


def test_patience_with_the_largest_blob_is_bounded() -> None:
    assert MAX_ROUNDS * ATTEMPTS < 1000
