"""What every source of receipts holds to: the folder, the prefix in S3, and the fake."""

import http.client
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import pytest
from obstore.store import S3Store

from flywheel_assets.adapters.inbox.bucket import BucketInbox
from flywheel_assets.adapters.inbox.folder import FolderInbox
from flywheel_assets.domain.errors import AbsentError, ReadError
from flywheel_assets.domain.limits import Limits
from flywheel_assets.ports import BuildSource, Delivery
from flywheel_assets_tests.adapters.nix.making import s3_environment
from flywheel_assets_tests.fakes import FakeInbox
from flywheel_assets_tests.processes import Server

LARGEST = 20


@dataclass
class Bench:
    """A source, and what builders and the world do to it."""

    source: BuildSource
    deliver: Callable[[str, bytes], object]
    spoil: Callable[[str], object]
    take_away: Callable[[str], object]
    remove: Callable[[], object]
    spoilt_says: str = "spoilt.json is not a regular file"


def on_folder(folder: Path) -> Bench:
    inbox = folder / "inbox"
    inbox.mkdir()
    return Bench(
        FolderInbox(inbox, Limits(receipt_bytes=0, signature_material_bytes=LARGEST)),
        deliver=lambda name, data: (inbox / name).write_bytes(data),
        spoil=lambda name: (inbox / name).mkdir(),
        take_away=lambda name: (inbox / name).unlink(),
        remove=lambda: shutil.rmtree(inbox),
    )


def in_bucket(s3: Server, bucket: str) -> Bench:
    store = S3Store.from_url(f"s3://{bucket}/inbox")

    def remove() -> None:
        store.delete([each["path"] for page in store.list() for each in page])
        connection = http.client.HTTPConnection("127.0.0.1", s3.port, timeout=30)
        connection.request("DELETE", f"/{bucket}")
        assert connection.getresponse().status == HTTPStatus.NO_CONTENT
        connection.close()

    return Bench(
        BucketInbox(f"s3://{bucket}/inbox", Limits(receipt_bytes=0, signature_material_bytes=LARGEST)),
        deliver=store.put,
        spoil=lambda name: store.put(name, b"x" * (LARGEST + 2)),
        take_away=store.delete,
        remove=remove,
        spoilt_says="spoilt.json has 22 bytes",
    )


def in_memory(_folder: Path) -> Bench:
    inbox = FakeInbox(largest=LARGEST)

    def remove() -> None:
        inbox.broken = AbsentError("The inbox is not there.")

    return Bench(
        inbox,
        deliver=lambda name, data: inbox.documents.update({name: data}),
        spoil=lambda name: inbox.problems.update({name: "is not a regular file."}),
        take_away=inbox.documents.pop,
        remove=remove,
    )


@pytest.fixture(params=[on_folder, in_bucket, in_memory])
def bench(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    if request.param is in_bucket:
        server: Server = request.getfixturevalue("s3")
        for name, value in s3_environment(server.url).items():
            monkeypatch.setenv(name, value)
        made: Bench = in_bucket(server, request.getfixturevalue("s3_bucket"))
    else:
        made = request.param(tmp_path)
    return made


def test_an_empty_source_delivers_nothing(bench: Bench) -> None:
    assert list(bench.source.deliveries()) == []


def test_documents_come_in_the_order_of_their_names_each_time(bench: Bench) -> None:
    for name in ("c.json", "a.json", "b.json"):
        bench.deliver(name, name.encode())
    expected = [Delivery(name, name.encode()) for name in ("a.json", "b.json", "c.json")]
    assert list(bench.source.deliveries()) == expected
    assert list(bench.source.deliveries()) == expected, "nothing is taken away by looking"


def test_what_came_or_went_since_is_seen(bench: Bench) -> None:
    bench.deliver("a.json", b"a")
    list(bench.source.deliveries())
    bench.deliver("b.json", b"b")
    bench.take_away("a.json")
    assert list(bench.source.deliveries()) == [Delivery("b.json", b"b")]


def test_what_is_too_large_or_no_file_comes_without_bytes_and_with_its_problem(bench: Bench) -> None:
    bench.deliver("fits.json", b"x" * LARGEST)
    bench.deliver("large.json", b"x" * (LARGEST + 1))
    bench.spoil("spoilt.json")
    fits, large, spoilt = bench.source.deliveries()
    assert (fits.data, fits.problem) == (b"x" * LARGEST, "")
    assert (large.data, spoilt.data) == (None, None)
    assert large.problem.startswith("large.json has 21 bytes, and at most 20 are read.")
    assert spoilt.problem.startswith(bench.spoilt_says)


def test_what_was_seen_is_passed_over_until_something_else_lies_under_its_name(bench: Bench) -> None:
    for name in ("a.json", "b.json"):
        bench.deliver(name, b"first")
    seen = {each.version for each in bench.source.deliveries()}
    assert len(seen) == 2
    assert list(bench.source.deliveries(seen)) == []
    bench.deliver("a.json", b"again")
    assert list(bench.source.deliveries(seen)) == [Delivery("a.json", b"again")]
    assert len(list(bench.source.deliveries())) == 2


def test_one_delivery_is_found_by_its_name(bench: Bench) -> None:
    bench.deliver("a.json", b"a")
    assert bench.source.delivery("a.json") == Delivery("a.json", b"a")
    assert bench.source.delivery("b.json") is None


def test_a_source_that_is_gone_is_a_read_error_and_not_an_empty_one(bench: Bench) -> None:
    bench.deliver("a.json", b"a")
    bench.remove()
    with pytest.raises(ReadError):
        list(bench.source.deliveries())
