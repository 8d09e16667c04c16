"""Receipts in a run's artifacts: zip archives by whoever could write to the workflow, read within bounds."""

import hashlib
import zlib
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from http import HTTPStatus
from io import BytesIO
from pathlib import PurePosixPath
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from flywheel_assets.adapters.forges.asking import Asking
from flywheel_assets.adapters.http.response import Response
from flywheel_assets.domain.errors import InvalidInputError, printable
from flywheel_assets.domain.limits import DEFAULT_LIMITS, Limits
from flywheel_assets.domain.platform_runs import PlatformRun, RunArtifact
from flywheel_assets.ports import Delivery

_ZIP = {"application/zip", "application/x-zip-compressed", "application/octet-stream", "binary/octet-stream"}
_ENCRYPTED = 0x1
# What zipfile lets through of what it does not foresee.
_SPOILT = (BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError, RuntimeError)


class _SpoiltError(Exception):
    """The sentence why an artifact gives no receipts."""


def run_receipts(
    asking: Asking, run: PlatformRun, pattern: str | None, place: Callable[[RunArtifact], str]
) -> Iterator[Delivery]:
    """The documents in the artifacts whose names match, as many as one run may have; ``place`` is where one lies.

    An artifact that is gone, spoilt or one too many is a delivery with its problem. Raises ReadError.
    """
    wanted = [each for each in run.artifacts if pattern is not None and fnmatchcase(each.name, pattern)]
    left = asking.limits.archive_unpacked_bytes
    for number, artifact in enumerate(wanted):
        left -= artifact.size
        if number >= asking.limits.receipt_artifacts or left < 0:
            name = f"{run.repository} run {run.run}"
            yield Delivery(name, None, f"{name} has {len(wanted):,} artifacts for receipts, and {number} were read.")
            return
        yield from _in_one(asking, place(artifact), run, artifact)


def _in_one(asking: Asking, target: str, run: PlatformRun, artifact: RunArtifact) -> Iterator[Delivery]:
    name = f"{run.repository} run {run.run}, artifact {artifact.name} ({artifact.id})"
    if artifact.expired:
        yield Delivery(name, None, f"{name} {_EXPIRED}.")
        return
    try:
        data = asking.download(target, f"the artifact {artifact.name}", lambda answer: _archive(answer, asking.limits))
        if artifact.digest.startswith("sha256:") and hashlib.sha256(data).hexdigest() != artifact.digest[7:]:
            raise _SpoiltError("is not what the forge's own digest says")  # noqa: TRY301 - as the ways before it
        yield from receipts_in(data, name, asking.limits)
    except _SpoiltError as error:
        yield Delivery(name, None, f"{name} {error}.")
    except InvalidInputError as error:
        yield Delivery(name, None, printable(f"{name} cannot be taken: {error.problem}", 400))


_EXPIRED = "has expired: the forge kept it no longer before it was read"


def receipts_in(data: bytes, name: str, limits: Limits = DEFAULT_LIMITS) -> Iterator[Delivery]:
    """Every ``*.json`` in a zip archive, sizes held to while it is unpacked, whatever the archive says of them."""
    try:
        with ZipFile(BytesIO(data)) as archive:
            members = [info for info in archive.infolist() if _is_document(info.filename)]
            if len(members) > limits.archive_files:
                problem = f"{name} holds {len(members):,} documents, and at most {limits.archive_files} are read."
                yield Delivery(name, None, problem)
                return
            left = limits.archive_unpacked_bytes
            for info in members:
                delivery = _member(archive, info, name, min(limits.receipt_bytes, left))
                left -= len(delivery.data or b"")
                yield delivery
    except _SPOILT as error:
        yield Delivery(name, None, printable(f"{name} is no whole zip archive: {error}.", 400))


def _is_document(name: str) -> bool:
    return name.endswith(".json") and not PurePosixPath(name).name.startswith(".")


def _member(archive: ZipFile, info: ZipInfo, name: str, most: int) -> Delivery:
    shown = f"{name}: {printable(info.filename)}"
    if info.flag_bits & _ENCRYPTED or info.compress_type not in {ZIP_STORED, ZIP_DEFLATED}:
        return Delivery(shown, None, f"{shown} is encrypted, or packed in an uncommon way.")
    try:
        with archive.open(info) as stream:
            data = stream.read(most + 1)
    except _SPOILT as error:
        return Delivery(shown, None, printable(f"{shown} cannot be unpacked: {error}.", 400))
    if len(data) > most:
        return Delivery(shown, None, f"{shown} unpacks to more than {most:,} bytes, and no more is read.")
    return Delivery(shown, data)


def _archive(answer: Response, limits: Limits) -> bytes:
    if answer.status == HTTPStatus.GONE:
        raise _SpoiltError(_EXPIRED)
    if answer.status == HTTPStatus.NOT_FOUND:
        raise _SpoiltError("was deleted at the forge before it was read")
    media_type = answer.header("Content-Type").partition(";")[0].strip().lower()
    if media_type not in _ZIP:
        raise _SpoiltError(f"is {printable(media_type, 80) or 'of no media type'}, and a zip archive was asked for")
    return answer.read(limits.archive_bytes)
