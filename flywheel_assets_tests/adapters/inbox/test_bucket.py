"""An inbox in S3: listed page by page, a body read only when it is taken, each failure of its own kind."""

import pytest
from obstore.store import S3Store

from flywheel_assets.adapters.inbox import bucket as adapter
from flywheel_assets.adapters.inbox.bucket import BucketInbox
from flywheel_assets.domain.errors import AbsentError, UnauthorisedError, UnreadableError, UsageError
from flywheel_assets.domain.limits import Limits
from flywheel_assets_tests.adapters.nix.making import s3_environment
from flywheel_assets_tests.processes import Server
from flywheel_assets_tests.scripted import Answer, Scripted

OBJECT = {"etag": '"e"', "last-modified": "Mon, 23 Nov 2026 12:00:00 GMT"}


@pytest.fixture
def prefix(s3: Server, s3_bucket: str, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in s3_environment(s3.url).items():
        monkeypatch.setenv(name, value)
    return f"s3://{s3_bucket}/in/box"


@pytest.fixture
def scripted_prefix(scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in s3_environment(scripted.url).items():
        monkeypatch.setenv(name, value)
    return "s3://bucket/inbox"


def serve(scripted: Scripted, path: str, answer: Answer) -> None:
    scripted.answers[f"GET {path}"] = answer


def listing(*names: str) -> Answer:
    each = "<LastModified>2026-11-23T12:00:00.000Z</LastModified><ETag>&quot;e&quot;</ETag><Size>1</Size>"
    found = "".join(f"<Contents><Key>inbox/{name}</Key>{each}</Contents>" for name in names)
    body = f"<ListBucketResult><IsTruncated>false</IsTruncated>{found}</ListBucketResult>"
    return Answer(200, {"content-type": "application/xml"}, body.encode())


def test_only_what_lies_directly_below_the_prefix_is_delivered(prefix: str) -> None:
    store = S3Store.from_url(prefix)
    for name in ("a.json", "b c.json", "100%.json", "größe.json", "sub/inner.json", "a.txt", ".hidden.json"):
        store.put(name, name.encode())
    S3Store.from_url(prefix.removesuffix("/box")).put("outside.json", b"x")
    found = {each.name: each.data for each in BucketInbox(prefix + "/").deliveries()}
    assert found == {name: name.encode() for name in ("a.json", "b c.json", "100%.json", "größe.json")}


def test_a_listing_of_several_pages_is_gone_through_in_order_and_only_as_far_as_it_is_asked(
    prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "_PAGE", 2)
    store = S3Store.from_url(prefix)
    names = [f"{number}.json" for number in range(7)]
    for name in names:
        store.put(name, name.encode())
    assert [each.name for each in BucketInbox(prefix).deliveries()] == names
    deliveries = BucketInbox(prefix).deliveries()
    assert next(deliveries).name == "0.json"
    store.delete("1.json")
    assert next(deliveries).name == "2.json", "what was taken away since it was listed is passed over"


def test_what_is_too_large_is_told_and_not_read(scripted: Scripted, scripted_prefix: str) -> None:
    serve(scripted, "/bucket", listing("a.json"))
    (found,) = BucketInbox(scripted_prefix, Limits(receipt_bytes=0)).deliveries()
    assert (found.data, found.passing) == (None, False)
    assert found.problem == "a.json has 1 bytes, and at most 0 are read. Make the receipt smaller."
    assert [asked.path for asked in scripted.asked] == ["/bucket"]


def test_what_is_larger_than_it_was_listed_is_left_for_the_next_time(scripted: Scripted, scripted_prefix: str) -> None:
    serve(scripted, "/bucket", listing("a.json", "b.json"))
    serve(scripted, "/bucket/inbox/a.json", Answer(200, OBJECT, b"x" * 11))
    serve(scripted, "/bucket/inbox/b.json", Answer(200, OBJECT, b"x"))
    assert [each.name for each in BucketInbox(scripted_prefix, Limits(receipt_bytes=10)).deliveries()] == ["b.json"]


def test_one_that_is_refused_is_told_and_the_others_are_delivered(scripted: Scripted, scripted_prefix: str) -> None:
    serve(scripted, "/bucket", listing("a.json", "b.json"))
    serve(scripted, "/bucket/inbox/a.json", Answer(403))
    serve(scripted, "/bucket/inbox/b.json", Answer(200, OBJECT, b"x"))
    refused, read = BucketInbox(scripted_prefix).deliveries()
    assert (refused.data, refused.passing) == (None, False)
    assert refused.problem == f"{scripted_prefix}/a.json is refused to this reader or writer. Check its AWS_ variables."
    assert read.data == b"x"


def test_one_whose_connection_breaks_may_be_read_another_time(scripted: Scripted, scripted_prefix: str) -> None:
    serve(scripted, "/bucket", listing("a.json"))
    serve(scripted, "/bucket/inbox/a.json", Answer(400))
    (found,) = BucketInbox(scripted_prefix).deliveries()
    assert (found.data, found.passing) == (None, True)


@pytest.mark.parametrize(("status", "error"), [(403, UnauthorisedError), (404, AbsentError), (400, UnreadableError)])
def test_a_listing_that_fails_is_an_error_of_its_kind(
    scripted: Scripted, scripted_prefix: str, status: int, error: type[Exception]
) -> None:
    serve(scripted, "/bucket", Answer(status))
    with pytest.raises(error, match="The inbox s3://bucket/inbox"):
        list(BucketInbox(scripted_prefix).deliveries())


def test_a_name_that_nothing_can_address_stops_the_listing_loudly(scripted: Scripted, scripted_prefix: str) -> None:
    serve(scripted, "/bucket", listing("a.json", "../b.json"))
    with pytest.raises(UnreadableError, match="The inbox s3://bucket/inbox failed"):
        list(BucketInbox(scripted_prefix).deliveries())


def test_what_is_no_url_of_a_bucket_is_refused() -> None:
    with pytest.raises(UsageError, match="s3://bucket/prefix"):
        BucketInbox("s3:")
