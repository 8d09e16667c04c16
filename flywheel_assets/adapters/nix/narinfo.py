"""The text of a ``.narinfo``: parsed strictly, written as Nix writes it. Pure; knows no files and no keys.

Source: Nix, src/libstore/nar-info.cc, and the manual's "narinfo format". What Nix tolerates and this refuses:
a single-valued key that appears twice, control characters, a NAR size of zero.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from flywheel_assets.domain.digests import FileHash, NarHash
from flywheel_assets.domain.errors import InvalidInputError, LimitExceededError
from flywheel_assets.domain.limits import DEFAULT_LIMITS, Limits
from flywheel_assets.domain.names import STORE_PATH, store_path_base

STORE_PREFIX = "/nix/store/"
REMEDY = "Let Nix write this narinfo again (`nix copy --to`)."
_SINGLE = (
    *("StorePath", "URL", "Compression", "FileHash", "FileSize", "NarHash", "NarSize", "References"),
    *("Deriver", "System", "CA"),
)
_REQUIRED = ("StorePath", "URL", "NarHash", "NarSize")
_SIZE = re.compile(r"[0-9]{1,18}", re.ASCII)
_NO_DERIVER = ("", "unknown-deriver")


@dataclass(frozen=True, slots=True)
class NarInfo:
    """What a binary cache says of one store path.

    ``references`` are full store paths, sorted; ``deriver`` is a full store path. Sizes are in bytes. ``url``
    is as it was written: it is no file name before whoever opens it has judged it.
    """

    store_path: str
    url: str
    compression: str
    file_hash: FileHash | None
    file_size: int | None
    nar_hash: NarHash
    nar_size: int
    references: tuple[str, ...]
    deriver: str | None = None
    sigs: tuple[str, ...] = ()
    ca: str | None = None


def parse_narinfo(data: bytes, document: str, limits: Limits = DEFAULT_LIMITS) -> NarInfo:
    """The narinfo in ``data``; ``document`` names it in errors.

    Raises LimitExceededError before parsing what is too large, InvalidInputError for what is no narinfo.
    """
    fields, sigs = _fields(_text(data, document, limits), document)
    for key in _REQUIRED:
        if not fields.get(key):
            raise InvalidInputError(document, key, "is missing or empty", REMEDY)
    nar_size = _size(fields["NarSize"], document, "NarSize")
    if nar_size == 0:
        raise InvalidInputError(document, "NarSize", "is zero, and no NAR is empty", REMEDY)
    references = fields.get("References", "").split()
    if len(references) > limits.references_per_path:
        problem = f"{len(references):,} references, and at most {limits.references_per_path:,} are read"
        raise LimitExceededError(document, "References", problem, "Make the output refer to less.")
    deriver = fields.get("Deriver", "")
    file_size = fields.get("FileSize")
    return NarInfo(
        store_path=_store_path(fields["StorePath"], document, "StorePath"),
        url=fields["URL"],
        compression=fields.get("Compression") or "bzip2",  # Nix, nar-info.cc: the format's oldest default
        file_hash=_file_hash(fields.get("FileHash"), document),
        file_size=None if file_size is None else _size(file_size, document, "FileSize"),
        nar_hash=_nar_hash(fields["NarHash"], document),
        nar_size=nar_size,
        references=tuple(sorted({_store_path(STORE_PREFIX + base, document, "References") for base in references})),
        deriver=(None if deriver in _NO_DERIVER else _store_path(STORE_PREFIX + deriver, document, "Deriver")),
        sigs=sigs,
        ca=fields.get("CA") or None,
    )


def render_narinfo(info: NarInfo) -> bytes:
    """``info`` as Nix writes it: same keys, same order, hashes in nix32, references by base name."""
    lines = [f"StorePath: {info.store_path}", f"URL: {info.url}", f"Compression: {info.compression}"]
    if info.file_hash is not None:
        lines.append(f"FileHash: {info.file_hash.nix32}")
    if info.file_size is not None:
        lines.append(f"FileSize: {info.file_size}")
    lines += [f"NarHash: {info.nar_hash.nix32}", f"NarSize: {info.nar_size}"]
    lines.append(f"References: {' '.join(map(store_path_base, sorted(info.references)))}")
    if info.deriver is not None:
        lines.append(f"Deriver: {store_path_base(info.deriver)}")
    lines += [f"Sig: {sig}" for sig in info.sigs]
    if info.ca is not None:
        lines.append(f"CA: {info.ca}")
    return "".join(f"{line}\n" for line in lines).encode()


def fingerprint(path: str, nar_hash: NarHash, nar_size: int, references: Iterable[str]) -> str:
    """What a signature of a store path is made over (Nix, path-info.cc): full reference paths, sorted."""
    return f"1;{path};{nar_hash.nix32};{nar_size};{','.join(sorted(references))}"


def _text(data: bytes, document: str, limits: Limits) -> str:
    if len(data) > limits.narinfo_bytes:
        problem = f"over {limits.narinfo_bytes:,} bytes, which is all that is read"
        raise LimitExceededError(document, "size", problem, "Make the output refer to less.")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInputError(document, f"byte {error.start}", "not UTF-8", REMEDY) from error
    if not text.endswith("\n"):
        raise InvalidInputError(document, "end", "the last line is cut off or the file is empty", REMEDY)
    return text


def _fields(text: str, document: str) -> tuple[dict[str, str], tuple[str, ...]]:
    """Known keys with their values, and all signatures. Keys that are not known are skipped, as Nix does."""
    fields: dict[str, str] = {}
    sigs: list[str] = []
    for number, line in enumerate(text[:-1].split("\n"), start=1):
        key, separator, value = line.partition(": ")
        if not separator or not key:
            raise InvalidInputError(document, f"line {number}", "is not 'Key: value'", REMEDY)
        if not line.isprintable():
            raise InvalidInputError(document, f"line {number}", "holds control characters", REMEDY)
        if key == "Sig":
            sigs.append(value)
        elif key in fields:
            raise InvalidInputError(document, key, "appears twice", REMEDY)
        elif key in _SINGLE:
            fields[key] = value
    return fields, tuple(sigs)


def _size(text: str, document: str, field: str) -> int:
    if not _SIZE.fullmatch(text):
        raise InvalidInputError(document, field, f"{text!r} is not a number of bytes", REMEDY)
    return int(text)


def _store_path(text: str, document: str, field: str) -> str:
    if not STORE_PATH.fullmatch(text):
        raise InvalidInputError(document, field, f"{text!r} does not name a store path", REMEDY)
    return text


def _nar_hash(text: str, document: str) -> NarHash:
    try:
        return NarHash.parse(text)
    except ValueError as error:
        raise InvalidInputError(document, "NarHash", f"{text!r}: {error}", REMEDY) from error


def _file_hash(text: str | None, document: str) -> FileHash | None:
    try:
        return None if text is None else FileHash.parse(text)
    except ValueError as error:
        raise InvalidInputError(document, "FileHash", f"{text!r}: {error}", REMEDY) from error
