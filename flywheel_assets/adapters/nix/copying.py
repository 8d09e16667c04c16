"""One NAR from a mutable cache to a durable folder, judged while it streams and named only when it is right."""

import hashlib
import sys
from collections.abc import Callable

from flywheel_assets.adapters.files import reporting
from flywheel_assets.adapters.nix.bodies import Body, read_body
from flywheel_assets.adapters.nix.cache import NixCache
from flywheel_assets.adapters.nix.closure import Expected
from flywheel_assets.adapters.nix.durable import DurableFolder
from flywheel_assets.adapters.nix.narinfo import NarInfo
from flywheel_assets.adapters.writing import publishing
from flywheel_assets.domain.digests import FileHash
from flywheel_assets.domain.errors import PublicationError, UnreadableError
from flywheel_assets.domain.inspections import ReadState
from flywheel_assets.domain.limits import Limits
from flywheel_assets.ports import Progress

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

# These need no other bytes for the durable cache: their checked file is passed on as it is.
_PASSED_THROUGH = {"zstd": "zst", "xz": "xz"}
_STILL_ARRIVING = (ReadState.EMPTY, ReadState.TRUNCATED)


def copy_nar(
    source: NixCache, expected: Expected, target: DurableFolder, limits: Limits, progress: Progress
) -> NarInfo:
    """Copy the NAR of ``expected`` to ``nar/<hash of the file>.nar.<suffix>``; the narinfo that describes it.

    Raises ReadError or InvalidInputError for the source, PublicationError when the bytes are not the expected
    ones or cannot be written. Then nothing is left behind.
    """
    info, chunks = source.open_nar(expected.path)
    with target.draft() as draft:
        passed = info.compression in _PASSED_THROUGH
        packer = None if passed else _Packer(draft.write)
        body = read_body(
            reporting(chunks, progress),
            info.compression,
            expected.nar_size,
            limits,
            on_file=draft.write if packer is None else None,
            on_nar=packer.write if packer else None,
        )
        _require(body, info, expected)
        file_hash, file_size = packer.finish() if packer else (body.file_hash, body.file_size)
        suffix = _PASSED_THROUGH[info.compression] if passed else "zst"
        name = f"nar/{file_hash.nix32.removeprefix('sha256:')}.nar.{suffix}"
        with publishing(target.path / name):
            draft.keep(target.path / name)
    return NarInfo(
        store_path=expected.path,
        url=name,
        compression=info.compression if passed else "zstd",
        file_hash=file_hash,
        file_size=file_size,
        nar_hash=expected.nar_hash,
        nar_size=expected.nar_size,
        references=expected.references,
        sigs=expected.sigs,
    )


class _Packer:
    """Compresses what is written to it, and hashes the result."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._compressor = zstd.ZstdCompressor()
        self._hash = hashlib.sha256()
        self._size = 0
        self._write = write

    def write(self, data: bytes) -> None:
        self._pass(self._compressor.compress(data))

    def finish(self) -> tuple[FileHash, int]:
        """Hash and size of the file, which is complete now."""
        self._pass(self._compressor.flush())
        return FileHash.from_hex(self._hash.hexdigest()), self._size

    def _pass(self, data: bytes) -> None:
        self._hash.update(data)
        self._size += len(data)
        self._write(data)


def _require(body: Body, info: NarInfo, expected: Expected) -> None:
    path = expected.path
    if body.state in _STILL_ARRIVING:
        raise UnreadableError(f"The NAR of {path} is {body.state}: {body.detail}. Try again once it is whole.")
    if body.state is not ReadState.READ:
        raise PublicationError(f"The NAR of {path} is {body.state}: {body.detail}. Let its builder push it again.")
    if body.nar_hash != expected.nar_hash:
        raise PublicationError(
            f"The NAR of {path} is {body.nar_hash}, and {expected.nar_hash} was approved: the mutable cache "
            "holds other bytes than the builder signed for. Inspect it again."
        )
    if info.file_hash is not None and info.file_hash != body.file_hash:
        raise PublicationError(
            f"The NAR file of {path} is {body.file_hash}, and its narinfo says {info.file_hash}: "
            "let its builder push it again."
        )
