"""NAR files: whole, empty, cut off, bombs, garbage. Each told from the others."""

import lzma
import re
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from backports import zstd

from flywheel_assets.adapters.files import CHUNK
from flywheel_assets.adapters.nix.bodies import Body, BodyReader, read_body
from flywheel_assets.adapters.nix.cache_files import DISTANT_THREADS
from flywheel_assets.domain.digests import FileHash, NarHash
from flywheel_assets.domain.inspections import ReadState
from flywheel_assets.domain.limits import MIB, Limits
from flywheel_assets_tests.adapters.nix.make_vectors import FOLDER, NAR

COMPRESSION = {".zst": "zstd", ".xz": "xz", ".bz2": "bzip2", ".nar": "none"}
ENDS = {
    "empty.nar.zst": (ReadState.EMPTY, "no byte"),
    "truncated.nar.zst": (ReadState.TRUNCATED, "frame ends early"),
    "truncated.nar.xz": (ReadState.TRUNCATED, "frame ends early, after 10,112 bytes"),
    "short.nar.zst": (ReadState.TRUNCATED, "10,104 of 10,112 declared bytes"),
    "garbage-after.nar.zst": (ReadState.UNDECODABLE, "not zstd, after 10,112 bytes"),
    "garbage-after.nar.xz": (ReadState.UNDECODABLE, "bytes after the last complete xz frame"),
    "two-bytes-after.nar.zst": (ReadState.UNDECODABLE, "bytes after the last complete zstd frame"),
    "no-zstd.nar.zst": (ReadState.UNDECODABLE, "not zstd, after 0 bytes"),
    "huge-window.nar.zst": (ReadState.UNDECODABLE, r"windows over 2\^24 bytes are refused"),
    "bomb.nar.zst": (ReadState.TOO_LARGE, "more than the 10,112 declared bytes"),
    "bomb.nar.xz": (ReadState.TOO_LARGE, "more than the 10,112 declared bytes"),
    "bomb.nar.bz2": (ReadState.TOO_LARGE, "more than the 10,112 declared bytes"),
}


def read(name: str, size: int = CHUNK) -> Body:
    path = FOLDER / name
    return read_body(pieces(path, size), COMPRESSION[path.suffix], len(NAR))


def pieces(path: Path, size: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(size):
            yield chunk


def unread() -> Iterator[bytes]:
    yield pytest.fail("it was read")


@pytest.mark.parametrize("size", [1, 7, CHUNK])
@pytest.mark.parametrize("name", ["good.nar.zst", "good.nar.xz", "good.nar.bz2", "good.nar", "two-frames.nar.zst"])
def test_a_whole_file_is_read_and_both_its_hashes_are_right(name: str, size: int) -> None:
    body = read(name, size)
    data = (FOLDER / name).read_bytes()
    assert body == Body(ReadState.READ, FileHash.of(data), len(data), NarHash.of(NAR), len(NAR))


@pytest.mark.parametrize("size", [1, CHUNK])
@pytest.mark.parametrize(("name", "state", "detail"), [(name, *end) for name, end in ENDS.items()])
def test_a_tampered_file_ends_in_its_own_state(name: str, state: ReadState, detail: str, size: int) -> None:
    body = read(name, size)
    assert body.state is state
    assert re.search(detail, body.detail)


def test_bytes_without_compression_that_are_too_many_or_too_few_are_told_apart() -> None:
    assert read_body([NAR, b"x"], "none", len(NAR)).state is ReadState.TOO_LARGE
    assert read_body([NAR[:-1]], "none", len(NAR)).state is ReadState.TRUNCATED
    assert read_body([], "none", len(NAR)).state is ReadState.EMPTY


def test_an_unknown_compression_is_malformed_and_not_read() -> None:
    assert read_body(unread(), "br", 1).state is ReadState.MALFORMED


def test_a_declared_size_over_the_limit_is_not_read_at_all() -> None:
    assert read_body(unread(), "zstd", 101, Limits(nar_bytes=100)).state is ReadState.TOO_LARGE


def test_a_stream_of_empty_frames_is_ended() -> None:
    frame = zstd.compress(b"")

    def endless() -> Iterator[bytes]:
        while True:
            yield frame * 10_000

    assert read_body(endless(), "zstd", 100).state is ReadState.TOO_LARGE


def test_memory_is_bounded_however_well_the_file_compresses() -> None:
    packed = zstd.compress(bytes(64 * MIB))
    tracemalloc.start()
    body = read_body([packed], "zstd", 64 * MIB)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert body.state is ReadState.READ
    assert peak < 8 * MIB


def streamed(level: int | None = None, **options: int) -> bytes:
    """A frame whose size was not known, so that it asks for the whole window of its level."""
    chosen = {int(zstd.CompressionParameter[name]): value for name, value in options.items()}
    compressor = zstd.ZstdCompressor(level=level, options=chosen or None)
    return compressor.compress(NAR) + compressor.flush()


@pytest.mark.parametrize("level", [1, 3, 8, 19])
def test_zstd_is_read_at_every_level_that_asks_for_a_common_window(level: int) -> None:
    assert read_body([streamed(level)], "zstd", len(NAR)).state is ReadState.READ


@pytest.mark.parametrize("preset", [0, 6, 7])
def test_xz_is_read_up_to_the_preset_above_the_default(preset: int) -> None:
    assert read_body([lzma.compress(NAR, preset=preset)], "xz", len(NAR)).state is ReadState.READ


def test_a_window_or_dictionary_beyond_the_bound_is_refused_by_name() -> None:
    for compression, data in {"zstd": streamed(window_log=25), "xz": lzma.compress(NAR, preset=8)}.items():
        body = read_body([data], compression, len(NAR))
        assert body.state is ReadState.UNDECODABLE
        assert "windows over 2^24 bytes are refused" in body.detail


ALL_THREADS = """
import resource
from pathlib import Path
from backports import zstd
from flywheel_assets.adapters.nix.bodies import BodyReader
from flywheel_assets.adapters.nix.cache_files import DISTANT_THREADS
from flywheel_assets.domain.limits import MIB

def unfinished(log):
    compressor = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: log})
    return compressor.compress(bytes(1 << log)) + compressor.flush(compressor.FLUSH_BLOCK)

frames = [unfinished(log) for log in (24, 27)]
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + DISTANT_THREADS * 24 * MIB,) * 2)
for frame in frames:
    readers = [BodyReader("zstd", 1 << 30) for _ in range(DISTANT_THREADS)]
    print(sum(reader.feed(frame) for reader in readers))
"""


def test_as_many_hostile_files_as_there_are_threads_fit_into_little_memory() -> None:
    done = subprocess.run([sys.executable, "-c", ALL_THREADS], capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.split() == [str(DISTANT_THREADS), "0"], done.stderr


def test_every_byte_of_the_nar_is_handed_on() -> None:
    unpacked = bytearray()
    reader = BodyReader("zstd", len(NAR), on_nar=unpacked.extend)
    assert all(reader.feed(chunk) for chunk in pieces(FOLDER / "good.nar.zst", 9))
    assert bytes(unpacked) == NAR


def test_after_the_first_bad_byte_nothing_more_is_of_use() -> None:
    reader = BodyReader("zstd", len(NAR))
    assert not reader.feed(b"this is no zstd frame at all")
    assert not reader.feed((FOLDER / "good.nar.zst").read_bytes())
    assert reader.end().state is ReadState.UNDECODABLE
