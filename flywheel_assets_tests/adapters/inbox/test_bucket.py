"""An inbox in S3: listed page by page, a body read only when it is taken, each failure of its own kind."""

from dataclasses import replace
from urllib.parse import quote
from xml.sax.saxutils import escape

import pytest
from obstore.store import S3Store

from flywheel_assets.adapters.inbox import bucket as adapter
from flywheel_assets.adapters.inbox.bucket import BucketInbox
from flywheel_assets.adapters.inbox.names import readable_name
from flywheel_assets.domain.errors import AbsentError, UnauthorisedError, UnreadableError, UsageError
from flywheel_assets.domain.limits import Limits
from flywheel_assets_tests.adapters.nix.making import s3_environment
from flywheel_assets_tests.processes import Server
from flywheel_assets_tests.scripted import Answer, Asked, Scripted

OBJECT = {"etag": '"e"', "last-modified": "Mon, 23 Nov 2026 12:00:00 GMT"}
TEN_BYTES = Limits(receipt_bytes=0, signature_material_bytes=10)


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
    assert found == {name: name.encode() for name in ("a.json", "b c.json", "100%.json", "größe.json")} | {
        "a.txt": None
    }


def test_what_is_not_called_as_a_receipt_is_told_and_not_read(scripted: Scripted, scripted_prefix: str) -> None:
    serve(scripted, "/bucket", listing("", "notes.txt", "sub/notes.txt"))
    (found,) = BucketInbox(scripted_prefix).deliveries()
    assert (found.name, found.data, found.passing) == ("notes.txt", None, False)
    assert "notes.txt is not called *.json" in found.problem
    assert [asked.path for asked in scripted.asked] == ["/bucket"]


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
    (found,) = BucketInbox(scripted_prefix, Limits(receipt_bytes=0, signature_material_bytes=0)).deliveries()
    assert (found.data, found.passing) == (None, False)
    assert found.problem == "a.json has 1 bytes, and at most 0 are read. Make the receipt smaller."
    assert [asked.path for asked in scripted.asked] == ["/bucket"]


def test_what_is_larger_than_it_was_listed_is_left_for_the_next_time(scripted: Scripted, scripted_prefix: str) -> None:
    serve(scripted, "/bucket", listing("a.json", "b.json"))
    serve(scripted, "/bucket/inbox/a.json", Answer(200, OBJECT, b"x" * 11))
    serve(scripted, "/bucket/inbox/b.json", Answer(200, OBJECT, b"x"))
    assert [each.name for each in BucketInbox(scripted_prefix, TEN_BYTES).deliveries()] == ["b.json"]


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


def paged(scripted: Scripted, *names: str) -> None:
    """A listing as S3 gives it: two names at once, in order, after the one that is asked for; and flat in one page."""
    keys = sorted(f"inbox/{name}" for name in names)

    def answer(asked: Asked) -> Answer:
        if "delimiter" in asked.query:
            rests = [key.removeprefix("inbox/").partition("/") for key in keys]
            body = bytes(listing(*(escape(rest[0], {"\n": "&#10;"}) for rest in rests if not rest[1])).body)  # type: ignore[arg-type]
            folders = "".join(
                f"<CommonPrefixes><Prefix>inbox/{escape(each)}/</Prefix></CommonPrefixes>"
                for each in dict.fromkeys(rest[0] for rest in rests if rest[1])
            )
            return Answer(200, {}, body.replace(b"</ListBucketResult>", f"{folders}</ListBucketResult>".encode()))
        after = (asked.query.get("continuation-token") or asked.query.get("start-after") or [""])[0]
        rest = [key for key in keys if key > after]
        more = f"<NextContinuationToken>{rest[1]}</NextContinuationToken>" if len(rest) > PAGE else ""
        told = listing(*(escape(key.removeprefix("inbox/"), {"\n": "&#10;"}) for key in rest[:PAGE]))
        body = bytes(told.body).replace(b"</IsTruncated>", b"</IsTruncated>" + more.encode())  # type: ignore[arg-type]
        return replace(told, body=body.replace(b"false", b"true") if more else body)

    scripted.answers["GET /bucket"] = answer


PAGE = 2
UNADDRESSABLE = ["../b.json", "./b.json", "/b.json", "b\nc.json", "b\x7f.json"]
IN_FOLDERS = ["b//c.json", 'b//x" path: "y', "c/..", "c/\x7f"]


def everything(inbox: BucketInbox) -> tuple[dict[str, bool], str]:
    """Each delivery with whether it was read, and the error that ended the listing."""
    found: dict[str, bool] = {}
    try:
        for each in inbox.deliveries():
            assert each.name not in found
            found[each.name] = each.data is not None
    except UnreadableError as error:
        return found, str(error)
    return found, ""


@pytest.mark.parametrize("name", UNADDRESSABLE)
def test_a_name_that_nothing_can_address_is_named_and_what_comes_after_its_page_is_delivered(
    scripted: Scripted, scripted_prefix: str, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(adapter, "_PAGE", PAGE)
    good = ["!1.json", "!2.json", "d.json", "e.json", "f.json"]
    paged(scripted, name, *good)
    for each in good:
        serve(scripted, f"/bucket/inbox/{quote(each)}", Answer(200, OBJECT, b"x"))
    found, error = everything(BucketInbox(scripted_prefix))
    shown = readable_name(f"inbox/{name}")
    assert found == {**dict.fromkeys(good, True), shown: False}
    assert error == f'The inbox {scripted_prefix} holds "{shown}", a name that nothing can address. Remove that object.'
    letter = BucketInbox(scripted_prefix).delivery(shown)
    assert letter is not None
    assert (letter.data, letter.passing) == (None, False)


@pytest.mark.parametrize("name", IN_FOLDERS)
def test_such_a_name_in_a_folder_is_named_and_hides_nothing(
    scripted: Scripted, scripted_prefix: str, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(adapter, "_PAGE", PAGE)
    good = ["!1.json", "!2.json", "a.json", "d.json", "e.json", "f.json"]
    paged(scripted, name, *good)
    for each in good:
        serve(scripted, f"/bucket/inbox/{quote(each)}", Answer(200, OBJECT, b"x"))
    assert everything(BucketInbox(scripted_prefix)) == (
        {**dict.fromkeys(good, True), readable_name(f"inbox/{name}"): False},
        "",
    )


def test_where_such_names_lie_in_a_folder_and_outside_the_listing_goes_on_behind_both(
    scripted: Scripted, scripted_prefix: str
) -> None:
    paged(scripted, "a//1.json", "b\n.json", "d.json")
    serve(scripted, "/bucket/inbox/d.json", Answer(200, OBJECT, b"x"))
    found, error = everything(BucketInbox(scripted_prefix))
    assert found == {"inbox/a//1.json": False, "inbox/b\\x0a.json": False, "d.json": True}
    assert '"inbox/a//1.json"' in error


def test_several_such_names_are_all_named_and_too_many_end_the_listing(
    scripted: Scripted, scripted_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    paged(scripted, "a\n.json", "b\n.json", "c\n.json", "d.json", "e.json")
    serve(scripted, "/bucket/inbox/d.json", Answer(200, OBJECT, b"x"))
    serve(scripted, "/bucket/inbox/e.json", Answer(200, OBJECT, b"x"))
    named = {f"inbox/{name}\\x0a.json": False for name in "abc"}
    found, error = everything(BucketInbox(scripted_prefix))
    assert found == {**named, "d.json": True, "e.json": True}
    assert '"inbox/a\\x0a.json"' in error
    monkeypatch.setattr(adapter, "_UNADDRESSABLE", 1)
    found, error = everything(BucketInbox(scripted_prefix))
    assert found == {"inbox/a\\x0a.json": False}
    assert '"inbox/a\\x0a.json"' in error


def test_a_server_that_never_gets_behind_such_a_name_is_not_asked_for_ever(
    scripted: Scripted, scripted_prefix: str
) -> None:
    serve(scripted, "/bucket", listing("a&#10;.json", "c.json"))
    with pytest.raises(UnreadableError, match=r"a\\x0a\.json"):
        list(BucketInbox(scripted_prefix).deliveries())
    assert len(scripted.asked) == 2


def test_such_a_name_makes_no_letter_of_what_the_server_says(scripted: Scripted, scripted_prefix: str) -> None:
    paged(scripted, "Server returned non-2xx status code: 404 \nb.json")
    with pytest.raises(UnreadableError, match="nothing can address"):
        list(BucketInbox(scripted_prefix).deliveries())


def test_what_is_no_url_of_a_bucket_is_refused() -> None:
    with pytest.raises(UsageError, match="s3://bucket/prefix"):
        BucketInbox("s3:")
