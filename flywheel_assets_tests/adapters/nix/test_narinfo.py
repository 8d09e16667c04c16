"""Narinfos: what is parsed, what is refused and why, and that nothing else can happen."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel_assets.adapters.nix.narinfo import NarInfo, fingerprint, parse_narinfo, render_narinfo
from flywheel_assets.domain.digests import FileHash, NarHash, from_nix32, to_nix32
from flywheel_assets.domain.errors import InvalidInputError, LimitExceededError
from flywheel_assets.domain.limits import Limits
from flywheel_assets_tests.adapters.nix.make_vectors import FOLDER, bodies, narinfos

REFUSED = {
    "duplicate-key": "NarSize: appears twice",
    "size-negative": "'-5678' is not a number of bytes",
    "size-zero": "NarSize: is zero",
    "size-huge": "is not a number of bytes",
    "size-arabic": "is not a number of bytes",
    "hash-letter-e": "not 52 nix32|not hex, nix32",
    "hash-too-long": "over 256 bits",
    "hash-of-md5": "a Nix hash here is sha256",
    "file-hash-bad": "FileHash: 'sha256:x'",
    "no-url": "URL: is missing",
    "no-store-path": "StorePath: is missing",
    "store-path-elsewhere": "StorePath: '/gnu/store/",
    "reference-traversal": "References: '/nix/store/../../etc/passwd'",
    "deriver-bad": "Deriver: ",
    "no-colon": "line 11: is not 'Key: value'",
    "cut-off": "the last line is cut off",
    "empty": "the last line is cut off",
    "carriage-returns": "line 1: holds control characters",
    "not-utf-8": "not UTF-8",
}
PATHS = st.builds(
    lambda digest, name: f"/nix/store/{to_nix32(digest)}-{name}",
    st.binary(min_size=20, max_size=20),
    st.from_regex(r"[0-9a-zA-Z+\-._?=]{1,40}", fullmatch=True),
)
SHA = st.binary(min_size=32, max_size=32)
WORD = st.from_regex(r"[!-~]{1,40}", fullmatch=True)
NARINFOS = st.builds(
    NarInfo,
    store_path=PATHS,
    url=WORD,
    compression=st.sampled_from(["none", "xz", "zstd", "bzip2", "br"]),
    file_hash=st.none() | SHA.map(lambda raw: FileHash.from_hex(raw.hex())),
    file_size=st.none() | st.integers(0, 10**12),
    nar_hash=SHA.map(lambda raw: NarHash.from_hex(raw.hex())),
    nar_size=st.integers(1, 10**12),
    references=st.lists(PATHS, max_size=5, unique=True).map(lambda paths: tuple(sorted(paths))),
    deriver=st.none() | PATHS,
    sigs=st.lists(WORD, max_size=3).map(tuple),
    ca=st.none() | WORD,
)


def read(name: str) -> bytes:
    return (FOLDER / f"{name}.narinfo").read_bytes()


def test_the_vectors_are_those_of_the_generator() -> None:
    assert {name: (FOLDER / name).read_bytes() for name in narinfos()} == narinfos()
    assert {path.name for path in FOLDER.iterdir()} == {*narinfos(), *bodies()}


def test_a_narinfo_as_nix_writes_it_is_read_and_written_back_to_the_byte() -> None:
    info = parse_narinfo(read("good"), "good")
    assert info.nar_hash == NarHash.of(b"")
    assert info.nar_size == 5678
    assert len(info.references) == 2
    assert info.references[0].startswith("/nix/store/")
    assert info.deriver is not None
    assert info.deriver.endswith("-hello-2.12.drv")
    assert render_narinfo(info) == read("good")


@pytest.mark.parametrize(("name", "reason"), REFUSED.items())
def test_a_tampered_narinfo_is_refused_with_the_reason(name: str, reason: str) -> None:
    with pytest.raises(InvalidInputError, match=reason):
        parse_narinfo(read(name), name)


def test_without_a_compression_it_is_bzip2() -> None:
    assert parse_narinfo(read("good").replace(b"Compression: zstd\n", b""), "x").compression == "bzip2"


def test_an_unknown_deriver_is_none() -> None:
    data = read("good").replace(b"Deriver: 2c3", b"Deriver: unknown-deriver\nX: 2c3")
    assert parse_narinfo(data, "x").deriver is None


def test_what_is_too_large_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(LimitExceededError, match="over 100 bytes"):
        parse_narinfo(b"\xff" * 101, "x", Limits(narinfo_bytes=100))


def test_too_many_references_are_refused() -> None:
    with pytest.raises(LimitExceededError, match="2 references"):
        parse_narinfo(read("good"), "x", Limits(references_per_path=1))


def test_the_fingerprint_has_full_sorted_reference_paths() -> None:
    text = fingerprint("/nix/store/r", NarHash.of(b""), 7, ["/nix/store/b", "/nix/store/a"])
    nix32 = "0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73"
    assert text == f"1;/nix/store/r;sha256:{nix32};7;/nix/store/a,/nix/store/b"


@given(NARINFOS)
def test_what_was_written_reads_back_as_the_same(info: NarInfo) -> None:
    assert parse_narinfo(render_narinfo(info), "x") == info


@given(NARINFOS, st.data())
def test_a_damaged_narinfo_is_parsed_or_refused_and_nothing_else(info: NarInfo, data: st.DataObject) -> None:
    text = bytearray(render_narinfo(info))
    for _ in range(data.draw(st.integers(1, 5))):
        text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.integers(0, 255))
    try_to_parse(bytes(text))


@given(st.binary(max_size=400) | st.text(max_size=200).map(lambda text: text.encode() + b"\n"))
def test_any_bytes_are_parsed_or_refused_and_nothing_else(data: bytes) -> None:
    try_to_parse(data)


@given(SHA)
def test_nix32_reads_back_what_it_wrote(raw: bytes) -> None:
    assert from_nix32(to_nix32(raw)) == raw
    assert NarHash.parse("sha256:" + to_nix32(raw)).hex == raw.hex()


@given(st.text(max_size=60))
def test_any_text_is_a_nix_hash_or_a_value_error(text: str) -> None:
    for spelling in (text, f"sha256:{text}", f"sha256-{text}"):
        try:
            NarHash.parse(spelling)
        except ValueError:
            continue


def try_to_parse(data: bytes) -> None:
    try:
        info = parse_narinfo(data, "x")
    except InvalidInputError:
        return
    assert parse_narinfo(render_narinfo(info), "x") == replace(info)
