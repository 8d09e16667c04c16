"""Digests, one type per thing that is hashed. Comparing two kinds is an error, not False.

A NAR hash, the hash of the compressed file, an OCI manifest digest and a CAS digest are all 32 bytes of
SHA-256; taking one for another is how a wrong thing gets published.
"""

import base64
import binascii
import hashlib
import re
from typing import Any, ClassVar, Self

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

_HEX64 = re.compile(r"[0-9a-f]{64}")
_NIX32 = "0123456789abcdfghijklmnpqrsvwxyz"  # no e o t u: Nix, src/libutil/hash.cc
_TO_BASE32 = str.maketrans(_NIX32, "0123456789abcdefghijklmnopqrstuv")
_SHA256_BYTES = 32
_NIX32_CHARS = 52


class _TextValue:
    """A frozen string with a kind; the base of every digest and of GitRevision."""

    __slots__ = ("_text",)
    kind: ClassVar[str] = ""

    def __init__(self, text: str) -> None:
        self._text = self.check(text)

    @classmethod
    def check(cls, text: str) -> str:
        """``text`` when it is well-formed; ValueError otherwise."""
        raise NotImplementedError

    def __eq__(self, other: object) -> bool:
        if isinstance(other, _TextValue) and type(other) is not type(self):
            raise TypeError(f"cannot compare a {self.kind} with a {other.kind}")
        return isinstance(other, _TextValue) and self._text == other._text

    def __hash__(self) -> int:
        return hash((self.kind, self._text))

    def __lt__(self, other: Self) -> bool:
        if type(other) is not type(self):
            raise TypeError(f"cannot compare a {self.kind} with a {other.kind}")
        return self._text < other._text

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._text!r})"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[Any], handler: GetCoreSchemaHandler) -> CoreSchema:
        """Validate from the plain string or an instance, serialise to the plain string."""
        return core_schema.no_info_plain_validator_function(
            cls._validated, serialization=core_schema.to_string_ser_schema()
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "description": f"A {cls.kind}."}

    @classmethod
    def _validated(cls, value: object) -> Self:
        if isinstance(value, cls):
            return value
        if not isinstance(value, str):
            raise ValueError(f"a {cls.kind} is a string")  # noqa: TRY004 - pydantic takes ValueError
        return cls(value)


class Sha256(_TextValue):
    """``sha256:<64 lower-case hex>``. Subclasses say what was hashed."""

    kind = "SHA-256 digest"

    @classmethod
    def check(cls, text: str) -> str:
        """The text itself when it is ``sha256:`` and 64 lower-case hex digits."""
        if not (text.startswith("sha256:") and _HEX64.fullmatch(text[7:])):
            raise ValueError(f"a {cls.kind} is 'sha256:' and 64 lower-case hex digits")
        return text

    @classmethod
    def of(cls, data: bytes) -> Self:
        """The digest of ``data``."""
        return cls("sha256:" + hashlib.sha256(data).hexdigest())

    @classmethod
    def from_hex(cls, text: str) -> Self:
        """From 64 hex digits."""
        return cls("sha256:" + text)

    @property
    def hex(self) -> str:
        """64 lower-case hex digits."""
        return self._text[7:]


class NixHash(Sha256):
    """A SHA-256 in any of the spellings that Nix reads and writes."""

    kind = "Nix hash"

    @classmethod
    def parse(cls, text: str) -> Self:
        """From hex, nix32 or base64 after ``sha256:``, or SRI ``sha256-<base64>``; ValueError otherwise."""
        return cls("sha256:" + _any_nix_spelling(text).hex())

    @property
    def nix32(self) -> str:
        """``sha256:<52 nix32 characters>``, the spelling in narinfos and signatures."""
        return "sha256:" + to_nix32(bytes.fromhex(self.hex))


class NarHash(NixHash):
    """Hash of an uncompressed NAR (Nix manual, "Nix Archive format")."""

    kind = "NAR hash"


class FileHash(NixHash):
    """Hash of the compressed file that a narinfo's URL names."""

    kind = "file hash"


class ManifestDigest(Sha256):
    """Digest of an OCI manifest or image index (image-spec, descriptor.md)."""

    kind = "manifest digest"


class BlobDigest(Sha256):
    """Digest of an OCI layer or other blob."""

    kind = "blob digest"


class ConfigDigest(Sha256):
    """Digest of an OCI image configuration, the "image ID"."""

    kind = "config digest"


class CasDigest(Sha256):
    """Digest of a blob in a Bazel content-addressed store (remote-apis, Digest)."""

    kind = "CAS digest"


class ActionDigest(Sha256):
    """Digest of a Bazel action; a key in the action cache, never a hash of what lies there."""

    kind = "action digest"


class EvidenceDigest(Sha256):
    """Digest of a document in the evidence store."""

    kind = "evidence digest"


class GitRevision(_TextValue):
    """A full Git object name: 40 hex digits (SHA-1) or 64 (SHA-256)."""

    kind = "Git revision"

    @classmethod
    def check(cls, text: str) -> str:
        """The text itself when it is 40 or 64 lower-case hex digits."""
        if not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", text):
            raise ValueError("a Git revision is 40 or 64 lower-case hex digits, never a branch or an abbreviation")
        return text


def to_nix32(raw: bytes) -> str:
    """Nix's base 32 of ``raw``: last byte first, no padding (Nix, src/libutil/hash.cc)."""
    number = int.from_bytes(raw, "little")
    length = (len(raw) * 8 - 1) // 5 + 1
    return "".join(_NIX32[(number >> (5 * i)) & 31] for i in reversed(range(length)))


def from_nix32(text: str) -> bytes:
    """The 32 bytes that 52 nix32 characters spell; ValueError for anything else."""
    if len(text) != _NIX32_CHARS or set(text) - set(_NIX32):
        raise ValueError("not 52 nix32 characters")
    try:
        return int(text.translate(_TO_BASE32), 32).to_bytes(_SHA256_BYTES, "little")
    except OverflowError as error:
        raise ValueError("nix32 value is over 256 bits") from error


def _any_nix_spelling(text: str) -> bytes:
    scheme, separator, rest = text.partition(":")
    sri = not separator
    if sri:
        scheme, separator, rest = text.partition("-")
    if scheme != "sha256" or not separator:
        raise ValueError("a Nix hash here is sha256:… or sha256-…")
    if not sri and _HEX64.fullmatch(rest):
        return bytes.fromhex(rest)
    if not sri and len(rest) == _NIX32_CHARS:
        return from_nix32(rest)
    try:
        raw = base64.b64decode(rest, validate=True)
    except binascii.Error as error:
        raise ValueError("not hex, nix32 or base64") from error
    if len(raw) != _SHA256_BYTES:
        raise ValueError("not 32 bytes")
    return raw
