"""Receipts in a run's artifacts: zip archives by whoever could write to the workflow, read within bounds."""

import hashlib
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from http import HTTPStatus
from io import BytesIO
from pathlib import PurePosixPath
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from flywheel_assets.adapters.forges.asking import Asking
from flywheel_assets.adapters.http.response import Response
from flywheel_assets.domain.errors import InvalidInputError, LedAstrayError, UnreadableError, printable
from flywheel_assets.domain.limits import DEFAULT_LIMITS, Limits
from flywheel_assets.domain.platform_runs import PlatformRun, RunArtifact
from flywheel_assets.ports import Delivery

_ZIP = {"application/zip", "application/x-zip-compressed", "application/octet-stream", "binary/octet-stream"}
_ENCRYPTED = 0x1
_ENTRY = b"PK\x01\x02"  # APPNOTE.TXT, 4.3.12: one before each entry of the central directory
# What zipfile lets through of what it does not foresee.
_SPOILT = (BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError, RuntimeError)


class _SpoiltError(Exception):
    """The sentence why an artifact gives no receipts."""


@dataclass(slots=True)
class _Room:
    """What may still be read of one run: documents, bytes of archives, and bytes unpacked from them."""

    documents: int
    packed: int
    unpacked: int


def run_receipts(
    asking: Asking, run: PlatformRun, pattern: str | None, place: Callable[[RunArtifact], str]
) -> Iterator[Delivery]:
    """The documents in the artifacts whose names match, as many as one run may have; ``place`` is where one lies.

    An artifact that is gone, spoilt or over a limit is one delivery with its problem. Raises ReadError, also where the
    forge leads to a host that its source does not name: with that named, another try reads it.
    """
    limits, name = asking.limits, run.name
    room = _Room(limits.archive_files, limits.archive_unpacked_bytes, limits.archive_unpacked_bytes)
    wanted = [each for each in run.artifacts if pattern is not None and fnmatchcase(each.name, pattern)]
    if run.unlisted and pattern is not None:
        problem = (
            f"{name} has {len(run.artifacts) + run.unlisted:,} artifacts, and {len(run.artifacts):,} were looked at."
        )
        yield Delivery(name, None, problem)
    for number, artifact in enumerate(wanted):
        if number >= limits.receipt_artifacts or room.packed < artifact.size or min(room.documents, room.unpacked) <= 0:
            problem = f"{name} has {len(wanted):,} artifacts for receipts, and {number} were read: there is a limit."
            yield Delivery(name, None, problem)
            return
        yield from _in_one(asking, place(artifact), run, artifact, room)


def _in_one(asking: Asking, target: str, run: PlatformRun, artifact: RunArtifact, room: _Room) -> Iterator[Delivery]:
    name = f"{run.name}, artifact {artifact.name} ({artifact.id})"
    if artifact.expired:
        yield Delivery(name, None, f"{name} {_EXPIRED}.")
        return
    room.packed -= artifact.size
    try:
        data = asking.download(target, f"the artifact {artifact.name}", lambda answer: _archive(answer, asking.limits))
        room.packed -= max(len(data) - artifact.size, 0)
        if artifact.digest.startswith("sha256:") and hashlib.sha256(data).hexdigest() != artifact.digest[7:]:
            raise _SpoiltError("is not what the forge's own digest says")  # noqa: TRY301 - as the ways before it
        for delivery in receipts_in(data, name, asking.limits, room):
            yield replace(delivery, made_at=artifact.made_at)
    except _SpoiltError as error:
        yield Delivery(name, None, f"{name} {error}.")
    except LedAstrayError as error:
        problem = f"{name} lies at {error.field}, which is no place of this source"
        raise UnreadableError(
            f"{problem}. Add its host, with a port that is not 443, to `hosts` of the source."
        ) from error
    except InvalidInputError as error:
        yield Delivery(name, None, printable(f"{name} cannot be taken: {error.problem}", 400))


_EXPIRED = "has expired: the forge kept it no longer before it was read"


def receipts_in(
    data: bytes, name: str, limits: Limits = DEFAULT_LIMITS, room: _Room | None = None
) -> Iterator[Delivery]:
    """Every ``*.json`` in a zip archive, sizes held to while it is unpacked, whatever the archive says of them.

    What is over a limit ends it with one problem. ``room`` is what others of the same run have left.
    """
    room = room or _Room(limits.archive_files, 0, limits.archive_unpacked_bytes)
    # Its directory is as long as whoever made it likes: each entry in it has this mark.
    if data.count(_ENTRY) > limits.archive_entries:
        yield Delivery(name, None, f"{name} holds over {limits.archive_entries:,} files, and none are read.")
        return
    try:
        with ZipFile(BytesIO(data)) as archive:
            members = [info for info in archive.infolist() if _is_document(info.filename)]
            if len(members) > room.documents:
                problem = (
                    f"{name} holds {len(members):,} documents, and at most {room.documents} more of its run are read."
                )
                yield Delivery(name, None, problem)
                return
            for info in members:
                room.documents -= 1
                delivery, taken = _member(archive, info, name, min(limits.signed_bytes, room.unpacked))
                room.unpacked -= taken
                yield delivery
                if delivery.data is None and taken:
                    return
    except _SPOILT as error:
        yield Delivery(name, None, printable(f"{name} is no whole zip archive: {error}.", 400))


def _is_document(name: str) -> bool:
    return name.endswith(".json") and not PurePosixPath(name).name.startswith(".")


def _member(archive: ZipFile, info: ZipInfo, name: str, most: int) -> tuple[Delivery, int]:
    """A document, or its problem, and how many bytes were unpacked for it."""
    shown = f"{name}: {printable(info.filename)}"
    if info.flag_bits & _ENCRYPTED or info.compress_type not in {ZIP_STORED, ZIP_DEFLATED}:
        return Delivery(shown, None, f"{shown} is encrypted, or packed in an uncommon way."), 0
    try:
        with archive.open(info) as stream:
            data = stream.read(most + 1)
    except _SPOILT as error:
        return Delivery(shown, None, printable(f"{shown} cannot be unpacked: {error}.", 400)), 0
    if len(data) > most:
        problem = (
            f"{shown} unpacks to more than {most:,} bytes, and neither it nor what follows in its archive is read."
        )
        return Delivery(shown, None, problem), len(data)
    return Delivery(shown, data), len(data)


def _archive(answer: Response, limits: Limits) -> bytes:
    if answer.status == HTTPStatus.GONE:
        raise _SpoiltError(_EXPIRED)
    if answer.status == HTTPStatus.NOT_FOUND:
        raise _SpoiltError("was deleted at the forge before it was read")
    media_type = answer.header("Content-Type").partition(";")[0].strip().lower()
    if media_type not in _ZIP:
        raise _SpoiltError(f"is {printable(media_type, 80) or 'of no media type'}, and a zip archive was asked for")
    return answer.read(limits.archive_bytes)
