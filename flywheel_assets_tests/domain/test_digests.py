"""Digests: their spellings, and that no two kinds are ever compared."""

import base64
import hashlib
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from flywheel_assets.domain.digests import (
    ActionDigest,
    BlobDigest,
    CasDigest,
    ConfigDigest,
    EvidenceDigest,
    FileHash,
    GitRevision,
    ManifestDigest,
    NarHash,
    NixHash,
    Sha256,
    from_nix32,
    to_nix32,
)

KINDS: list[type[Sha256]] = [
    Sha256,
    NixHash,
    NarHash,
    FileHash,
    ManifestDigest,
    BlobDigest,
    ConfigDigest,
    CasDigest,
    ActionDigest,
    EvidenceDigest,
]
EMPTY_HEX = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
EMPTY_NIX32 = "0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73"
EMPTY_BASE64 = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="


@pytest.mark.parametrize(("one", "other"), list(permutations(KINDS, 2)))
def test_two_kinds_of_digest_cannot_be_compared(one: type[Sha256], other: type[Sha256]) -> None:
    with pytest.raises(TypeError, match=f"({one.kind}|{other.kind}) with a ({one.kind}|{other.kind})"):
        assert one.of(b"") == other.of(b"")
    with pytest.raises(TypeError, match="cannot compare"):
        assert one.of(b"") != other.of(b"")
    with pytest.raises(TypeError, match="cannot compare"):
        assert one.of(b"") < other.of(b"")


@pytest.mark.parametrize("kind", KINDS)
def test_a_digest_and_a_revision_cannot_be_compared(kind: type[Sha256]) -> None:
    with pytest.raises(TypeError, match="with a Git revision"):
        assert kind.of(b"") == GitRevision("a" * 64)


@pytest.mark.parametrize("kind", KINDS)
def test_digests_of_one_kind_compare_by_value(kind: type[Sha256]) -> None:
    assert kind.of(b"") == kind.from_hex(EMPTY_HEX)
    assert kind.of(b"") != kind.of(b"x")
    assert kind.of(b"") != EMPTY_HEX
    assert len({kind.of(b""), kind.from_hex(EMPTY_HEX)}) == 1
    assert min(kind.of(b""), kind.of(b"x")) == kind.of(b"x")
    assert str(kind.of(b"")) == f"sha256:{EMPTY_HEX}"


def test_every_kind_has_a_name_of_its_own() -> None:
    assert all(kind.kind for kind in KINDS)
    assert len({kind.kind for kind in KINDS}) == len(KINDS)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha256:",
        EMPTY_HEX,
        f"sha256:{EMPTY_HEX.upper()}",
        f"sha256:{EMPTY_HEX}\n",
        f"sha256:{EMPTY_HEX}0",
        f"sha512:{EMPTY_HEX}",
        f"sha256-{EMPTY_BASE64}",
        f"sha256:{EMPTY_HEX[:-1]}",
        f" sha256:{EMPTY_HEX}",
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_a_digest_has_one_spelling_only(kind: type[Sha256], text: str) -> None:
    with pytest.raises(ValueError, match=f"a {kind.kind} is 'sha256:' and 64 lower-case hex digits"):
        kind(text)


def test_a_model_field_takes_its_own_kind_and_text_only() -> None:
    adapter = TypeAdapter(NarHash)
    assert adapter.validate_python(f"sha256:{EMPTY_HEX}") == NarHash.of(b"")
    assert adapter.dump_json(NarHash.of(b"")) == f'"sha256:{EMPTY_HEX}"'.encode()
    for wrong in (FileHash.of(b""), 5, None, b"sha256:", EMPTY_HEX):
        with pytest.raises(ValidationError):
            adapter.validate_python(wrong)


@pytest.mark.parametrize(
    ("data", "nix32"),
    [
        (b"", EMPTY_NIX32),
        (b"abc", "1b8m03r63zqhnjf7l5wnldhh7c134ap5vpj0850ymkq1iyzicy5s"),
        (b"hello world", None),
    ],
)
def test_every_spelling_of_nix_is_the_same_hash(data: bytes, nix32: str | None) -> None:
    made = NixHash.of(data)
    assert nix32 is None or made.nix32 == f"sha256:{nix32}"
    raw = hashlib.sha256(data).digest()
    text = base64.b64encode(raw).decode()
    for spelling in (f"sha256:{raw.hex()}", made.nix32, f"sha256:{text}", f"sha256-{text}"):
        assert NixHash.parse(spelling) == made


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha256",
        "sha256:",
        "sha256-",
        "md5:d41d8cd98f00b204e9800998ecf8427e",
        f"sha256-{EMPTY_HEX}",
        f"sha256-{EMPTY_NIX32}",
        f"sha256:{EMPTY_NIX32[:-1]}",
        f"sha256:e{EMPTY_NIX32[1:]}",
        f"sha256:z{EMPTY_NIX32[1:]}",
        "sha256:é",
        "sha256-AAAA",
        f"sha256:{EMPTY_HEX.upper()}",
        f"sha256:{EMPTY_NIX32.upper()}",
    ],
)
def test_whatever_is_no_spelling_of_nix_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"a Nix hash here is|not hex, nix32|not 52 nix32|not 32 bytes|over 256|ASCII"):
        NixHash.parse(text)


@given(st.binary(min_size=32, max_size=32))
def test_nix32_reads_back_what_it_wrote(raw: bytes) -> None:
    assert len(to_nix32(raw)) == 52
    assert from_nix32(to_nix32(raw)) == raw


@given(st.text(max_size=80))
def test_no_text_fails_in_an_unforeseen_way(text: str) -> None:
    for scheme in ("", "sha256:", "sha256-"):
        try:
            NixHash.parse(scheme + text)
        except ValueError:
            continue


@pytest.mark.parametrize("text", ["main", "a" * 39, "a" * 41, "A" * 40, "a" * 12, "HEAD", "a" * 40 + "\n", "a" * 63])
def test_a_branch_or_an_abbreviation_is_no_revision(text: str) -> None:
    with pytest.raises(ValueError, match="never a branch or an abbreviation"):
        GitRevision(text)


@pytest.mark.parametrize("length", [40, 64])
def test_a_full_object_name_is_a_revision(length: int) -> None:
    assert str(GitRevision("a" * length)) == "a" * length
