"""The narinfos of a durable cache, visible and staged, held against what each path must be.

A staged narinfo lies in ``.staged`` and says where a NAR was copied to; it bears no release signature and no
consumer asks for it. So a run that was interrupted goes on where the last one stopped.
"""

from dataclasses import replace

from flywheel_assets.adapters.nix.closure import Expected, differences, signatures
from flywheel_assets.adapters.nix.durable import DurableFolder
from flywheel_assets.adapters.nix.folder import relative_name
from flywheel_assets.adapters.nix.narinfo import NarInfo, parse_narinfo, render_narinfo
from flywheel_assets.adapters.nix.signatures import NixSigningKey
from flywheel_assets.domain.errors import AbsentError, InvalidInputError, NameTakenError, PublicationError
from flywheel_assets.domain.limits import Limits
from flywheel_assets.domain.names import STORE_PATH, store_path_hash

STAGED = ".staged"


class Shelf:
    """Narinfos in ``folder``, signed with ``key``."""

    def __init__(self, folder: DurableFolder, key: NixSigningKey, limits: Limits) -> None:
        self._folder, self._key, self._limits = folder, key, limits

    def narinfo(self, path: str, *, staged: bool = False) -> NarInfo:
        """The narinfo of ``path`` as it lies there. Raises ReadError or InvalidInputError."""
        name = _staged_name(path) if staged else _name(path)
        data = self._folder.read(name, self._limits.narinfo_bytes)
        return parse_narinfo(data, str(self._folder.path / name), self._limits)

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

    def staged(self, expected: Expected) -> NarInfo | None:
        """The narinfo of a NAR that was copied, for exactly this content; None when it has to be copied."""
        try:
            info = self.narinfo(expected.path, staged=True)
        except (AbsentError, InvalidInputError):
            return None
        same = not differences(info, expected) and info.references == expected.references
        return info if same and self.has_file(info) else None

    def stage(self, info: NarInfo) -> None:
        """Remember where a NAR was copied to. Raises PublicationError."""
        # Not synced: where it is lost or empty, the NAR is only copied once more.
        self._folder.put(_staged_name(info.store_path), render_narinfo(info), synced=False)

    def forget(self, path: str) -> None:
        """Drop the staged narinfo of what is visible now, if there is one. Raises PublicationError."""
        self._folder.remove(_staged_name(path))

    def has_file(self, info: NarInfo) -> bool:
        """Whether the file that ``info`` names is there with its size. Raises ReadError, but for absence."""
        try:
            return self._folder.size(relative_name(info.url, info.store_path)) == info.file_size
        except (AbsentError, InvalidInputError):
            return False

    def is_signed(self, info: NarInfo) -> bool:
        """Whether the release key signed it."""
        return bool(signatures(info, (self._key.public_text,)))

    def reveal(self, expected: Expected, deriver: str | None) -> None:
        """Make the narinfo visible, unless it is so already.

        Raises PublicationError when the NAR is not there, NameTakenError as ``visible``.
        """
        there = self.visible(expected)
        copied = self._complete(there) or self.staged(expected)
        if copied is None:
            # Since the first look another publisher may have revealed it, and dropped what was staged.
            there = self.visible(expected)
            copied = self._complete(there)
        if copied is None:
            raise PublicationError(f"The NAR of {expected.path} is not on the surface: copy it first.")
        if copied is not there or not self.is_signed(copied):
            self._write(expected, copied, deriver, there)

    def _complete(self, there: NarInfo | None) -> NarInfo | None:
        return there if there is not None and self.has_file(there) else None

    def _write(self, expected: Expected, copied: NarInfo, deriver: str | None, there: NarInfo | None) -> None:
        # Signatures that are there already are of the same content, for consumers that trust another key.
        sigs = (self._key.sign(expected.fingerprint), *expected.sigs, *(there.sigs if there else ()))
        info = replace(
            copied,
            references=expected.references,
            sigs=tuple(dict.fromkeys(sigs)),
            deriver=deriver if deriver and STORE_PATH.fullmatch(deriver) else None,
            ca=None,
        )
        name = _name(expected.path)
        if there is not None:
            self._folder.put(name, render_narinfo(info))
        elif not self._folder.put_once(name, render_narinfo(info)):
            # Another publisher came between: it must have written the same content, and its signature stays.
            self._write(expected, copied, deriver, self.visible(expected))


def _name(path: str) -> str:
    return f"{store_path_hash(path)}.narinfo"


def _staged_name(path: str) -> str:
    return f"{STAGED}/{_name(path)}"
