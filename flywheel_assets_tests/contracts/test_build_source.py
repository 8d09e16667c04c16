"""What every source of receipts holds to: the folder and the fake."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from flywheel_assets.adapters.inbox import FolderInbox
from flywheel_assets.domain.errors import AbsentError, ReadError
from flywheel_assets.domain.limits import Limits
from flywheel_assets.ports import BuildSource, Delivery
from flywheel_assets_tests.fakes import FakeInbox

LARGEST = 20


@dataclass
class Bench:
    """A source, and what builders and the world do to it."""

    source: BuildSource
    deliver: Callable[[str, bytes], object]
    spoil: Callable[[str], object]
    take_away: Callable[[str], object]
    remove: Callable[[], object]


def on_folder(folder: Path) -> Bench:
    inbox = folder / "inbox"
    inbox.mkdir()
    return Bench(
        FolderInbox(inbox, Limits(receipt_bytes=LARGEST)),
        deliver=lambda name, data: (inbox / name).write_bytes(data),
        spoil=lambda name: (inbox / name).mkdir(),
        take_away=lambda name: (inbox / name).unlink(),
        remove=lambda: shutil.rmtree(inbox),
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


@pytest.fixture(params=[on_folder, in_memory])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
    made: Bench = request.param(tmp_path)
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
    assert spoilt.problem.startswith("spoilt.json is not a regular file")


def test_a_source_that_is_gone_is_a_read_error_and_not_an_empty_one(bench: Bench) -> None:
    bench.deliver("a.json", b"a")
    bench.remove()
    with pytest.raises(ReadError):
        list(bench.source.deliveries())
