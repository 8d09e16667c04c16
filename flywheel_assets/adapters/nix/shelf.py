"""The narinfos of a durable cache, held against what each path must be, and written signed by the release key."""

from collections.abc import Iterable
from dataclasses import replace

from flywheel_assets.adapters.nix.bodies import read_body
from flywheel_assets.adapters.nix.cache_files import DurableFiles
from flywheel_assets.adapters.nix.closure import Expected, differences, signatures
from flywheel_assets.adapters.nix.copying import Filed
from flywheel_assets.adapters.nix.folder import relative_name
from flywheel_assets.adapters.nix.narinfo import NarInfo, parse_narinfo, render_narinfo
from flywheel_assets.adapters.nix.signatures import NixSigningKey
from flywheel_assets.domain.errors import AbsentError, InvalidInputError, NameTakenError, PublicationError, ReadError
from flywheel_assets.domain.inspections import ReadState
from flywheel_assets.domain.limits import Limits
from flywheel_assets.domain.names import STORE_PATH, store_path_hash


class Shelf:
    """Narinfos in ``files``, signed with ``key``."""

    def __init__(self, files: DurableFiles, key: NixSigningKey, limits: Limits) -> None:
        self._files, self._key, self._limits = files, key, limits

    def narinfo(self, path: str) -> NarInfo:
        """The narinfo of ``path`` as it lies there. Raises ReadError or InvalidInputError."""
        name = narinfo_name(path)
        data = self._files.read(name, self._limits.narinfo_bytes)
        return parse_narinfo(data, f"{self._files.place}/{name}", self._limits)

    def visible(self, expected: Expected) -> NarInfo | None:
        """What consumers see; None when there is none, NameTakenError when it says something else."""
        try:
            info = self.narinfo(expected.path)
        except AbsentError:
            return None
        except InvalidInputError as error:
            raise NameTakenError(f"{expected.path} is taken by an unreadable narinfo: {error}") from error
        added = sorted(set(info.references) - set(expected.references))[:1]
        found = (*differences(info, expected), *(f"narinfo adds the reference {name}" for name in added))
        if found:
            raise NameTakenError(
                f"{expected.path} is on the surface already with other content: {'; '.join(found)}. "
                "A published path never changes: find out why its build is not reproducible."
            )
        return info

    def has_file(self, info: NarInfo) -> bool:
        """Whether the file that ``info`` names is there with its size. Raises ReadError, but for absence."""
        try:
            return self._files.size(relative_name(info.url, info.store_path)) == info.file_size
        except (AbsentError, InvalidInputError):
            return False

    def is_signed(self, info: NarInfo) -> bool:
        """Whether the release key signed it."""
        return bool(signatures(info, (self._key.public_text,)))

    def reveal(self, expected: Expected, filed: Filed | None, deriver: str | None) -> None:
        """Make the narinfo visible, unless it is so already. ``filed`` is the NAR's file, if it was copied just now.

        The release key signs for bytes that were read: those copied, or else those that lie there.
        Raises PublicationError when the NAR is not there or is another, ReadError, NameTakenError as ``visible``.
        """
        name, copied = narinfo_name(expected.path), _described(expected, filed) if filed else None
        if copied and self._files.put_once(name, self._signed(expected, copied, deriver)):
            return
        # Somebody was there before, with the same content or ``visible`` raises. Its signatures stay, for consumers
        # that trust another key.
        there = self.visible(expected)
        if there is not None and self.has_file(there):
            if self.is_signed(there):
                return
            copied = copied or self._read(there, expected)
        if copied is None:
            raise PublicationError(f"The NAR of {expected.path} is not on the surface: copy it first.")
        self._files.put(name, self._signed(expected, copied, deriver, there.sigs if there else ()))

    def needed(self, roots: Iterable[str]) -> tuple[frozenset[str], tuple[str, ...]]:
        """The store paths that consumers of these need: all that the narinfos here refer to, and what refers to that.

        With a sentence for each narinfo that cannot be read: that may refer to anything.
        """
        found: set[str] = set()
        untold: list[str] = []
        waiting = set(roots)
        while waiting:
            path = waiting.pop()
            references: tuple[str, ...] = ()
            try:
                references = self.narinfo(path).references
            except AbsentError:
                continue  # nobody can fetch it from here
            except (ReadError, InvalidInputError) as error:
                untold.append(f"what {path} needs cannot be told: {error}")
            found.add(path)
            waiting |= set(references) - found
        return frozenset(found), tuple(sorted(untold))

    def remove(self, expected: Expected) -> bool:
        """Take the narinfo of a path away that is this very content; whether it did. Raises as ``narinfo``."""
        try:
            info = self.narinfo(expected.path)
        except AbsentError:
            return False
        return info.nar_hash == expected.nar_hash and self._files.remove(narinfo_name(expected.path))

    def _read(self, info: NarInfo, expected: Expected) -> NarInfo:
        """``info``, whose file was read and is the NAR of ``expected``; PublicationError when it is not."""
        chunks = self._files.chunks(relative_name(info.url, info.store_path))
        body = read_body(chunks, info.compression, expected.nar_size, self._limits)
        found = (body.state, body.nar_hash, body.file_hash)
        if found != (ReadState.READ, expected.nar_hash, info.file_hash or body.file_hash):
            raise PublicationError(
                f"{self._files.place}/{info.url} is not the NAR of {expected.path} that its narinfo says "
                f"({body.detail or body.nar_hash}), and the release key has not signed it: find out who put it there, "
                f"remove {narinfo_name(expected.path)}, and promote again."
            )
        return info

    def _signed(self, expected: Expected, info: NarInfo, deriver: str | None, sigs: tuple[str, ...] = ()) -> bytes:
        signed = replace(
            info,
            references=expected.references,
            sigs=tuple(dict.fromkeys((self._key.sign(expected.fingerprint), *expected.sigs, *sigs))),
            deriver=deriver if deriver and STORE_PATH.fullmatch(deriver) else None,
            ca=None,
        )
        return render_narinfo(signed)


def _described(expected: Expected, filed: Filed) -> NarInfo:
    return NarInfo(
        store_path=expected.path,
        url=filed.name,
        compression=filed.compression,
        file_hash=filed.hash,
        file_size=filed.size,
        nar_hash=expected.nar_hash,
        nar_size=expected.nar_size,
        references=expected.references,
    )


def narinfo_name(path: str) -> str:
    """The name of the narinfo of ``path``."""
    return f"{store_path_hash(path)}.narinfo"
