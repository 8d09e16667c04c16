"""A durable Nix cache in a folder of one's own, as a publication surface that copies.

What a consumer can ask for by name is ``<hash>.narinfo``; everything before those is invisible: NARs under the
hash of their file, staged narinfos, proofs in ``attestations``. Each step looks at what is there and does the
rest, so any of them can be interrupted anywhere and run again.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from flywheel_assets.adapters.files import one_at_a_time
from flywheel_assets.adapters.nix.cache import CACHE_INFO, WORKERS, NixCache
from flywheel_assets.adapters.nix.closure import (
    Expected,
    in_reference_order,
    nix_closure,
    vouched,
    whole_closure,
)
from flywheel_assets.adapters.nix.copying import copy_nar
from flywheel_assets.adapters.nix.durable import DurableFolder
from flywheel_assets.adapters.nix.published import ATTESTATIONS, attestations, surface_reference
from flywheel_assets.adapters.nix.shelf import STAGED, Shelf
from flywheel_assets.adapters.nix.signatures import NixSigningKey, public_key
from flywheel_assets.domain.errors import AbsentError, InvalidInputError, LimitExceededError, PublicationError
from flywheel_assets.domain.inspections import Reading
from flywheel_assets.domain.limits import DEFAULT_LIMITS, Limits
from flywheel_assets.domain.names import store_path_hash
from flywheel_assets.domain.publications import Plan, Proof, Release
from flywheel_assets.ports import Progress

_CACHE_INFO_TEXT = b"StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 30\n"


class NixCacheSurface:
    """``ports.PublicationSurface`` over a durable folder.

    ``signing_key`` is the release key, whose signature consumers demand. ``upstream_keys`` may speak for paths
    that a receipt does not list; their signatures are published along. Raises UsageError for a key that is none.
    """

    def __init__(
        self,
        target: Path,
        source: NixCache,
        signing_key: NixSigningKey,
        limits: Limits = DEFAULT_LIMITS,
        upstream_keys: tuple[str, ...] = (),
    ) -> None:
        for key in upstream_keys:
            public_key(key)
        self._target = DurableFolder(target)
        self._shelf = Shelf(self._target, signing_key, limits)
        self._consumer = NixCache(target, (signing_key.public_text,), limits, members_are_signed=True)
        self._source = source
        self._limits = limits
        self._upstream_keys = upstream_keys

    def plan(self, release: Release) -> Plan:
        """What is wanted minus what is present: ``missing`` NARs to copy, ``names`` whose narinfo to write.

        Raises NameTakenError when a narinfo there says something else of a path, ReadError when source or
        target cannot be read, PublicationError when a path is neither in the receipt nor vouched for upstream.
        """
        self._check_store_dir()
        paths = self._closure(release)
        order = in_reference_order(paths)
        there = {each.path: self._shelf.visible(each) for each in order}
        missing = {path for path, info in there.items() if info is None or not self._shelf.has_file(info)}
        signed = {path for path, info in there.items() if info is not None and self._shelf.is_signed(info)}
        return Plan(
            release=release,
            reference=surface_reference(self._target.path, nix_closure(release.artifact).root),
            missing=tuple(sorted(missing)),
            present=tuple(sorted(paths.keys() - missing)),
            names=tuple(each.path for each in order if each.path in missing or each.path not in signed),
        )

    def copy(self, plan: Plan, progress: Progress) -> None:
        """Copy the missing NARs, several at a time; ``progress`` gets bytes of the source's files.

        Raises ReadError or InvalidInputError for the source, PublicationError for bytes that are not the
        approved ones or cannot be written.
        """
        paths = self._closure(plan.release)
        self._target.make("nar", STAGED)
        self._target.sweep()
        copy = partial(self._copy_one, one_at_a_time(progress))
        with ThreadPoolExecutor(WORKERS, "nix-copy") as pool:
            for _ in pool.map(copy, [paths[path] for path in plan.missing]):
                pass
        self._target.sync("nar", STAGED)

    def attach(self, plan: Plan, proofs: Sequence[Proof]) -> None:
        """Put each proof to ``attestations/<hash>/<name>.dsse.json``, once.

        Raises PublicationError when another proof has that name already, or it cannot be written.
        """
        folder = f"{ATTESTATIONS}/{store_path_hash(nix_closure(plan.release.artifact).root)}"
        self._target.make(ATTESTATIONS, folder)
        for proof in proofs:
            name = f"{folder}/{proof.name}.dsse.json"
            if not self._target.put_once(name, proof.envelope) and not self._holds(name, proof.envelope):
                raise PublicationError(
                    f"{self._target.path / name} holds another proof already, and a proof is published once: "
                    "publish the one in the evidence store's slot."
                )
        self._target.sync(ATTESTATIONS, folder)

    def reveal(self, plan: Plan) -> None:
        """Write the narinfos, each after those that it refers to and the root last, signed by the release key.

        Raises PublicationError when a NAR was not copied, NameTakenError when somebody was faster with other
        content.
        """
        closure = nix_closure(plan.release.artifact)
        paths = self._closure(plan.release)
        self._target.make()
        self._target.put_once(CACHE_INFO, _CACHE_INFO_TEXT)
        self._check_store_dir()
        for expected in in_reference_order(paths):
            is_root = expected.path == closure.root
            if is_root:
                self._target.sync()  # not even a power cut shows the root without what it refers to
            if expected.path in plan.names:
                self._shelf.reveal(expected, closure.deriver if is_root else None)
            self._shelf.forget(expected.path)
        self._target.sync()

    def read_back(self, release: Release, progress: Progress) -> tuple[Reading, ...]:
        """The whole closure as a consumer that trusts the release key alone reads it; every NAR is hashed.

        ``vouched_by`` of each reading is the release key's name where it signed that narinfo.
        """
        return self._consumer.inspect(release.artifact, progress)

    def proofs(self, release: Release) -> tuple[bytes, ...]:
        """The envelopes beside the artifact, sorted by name. Raises ReadError or InvalidInputError."""
        return attestations(self._target, nix_closure(release.artifact).root, self._limits)

    def _check_store_dir(self) -> None:
        try:
            self._consumer.check_store_dir()
        except AbsentError:
            return  # a new cache, whose nix-cache-info reveal writes
        except InvalidInputError as error:
            raise PublicationError(f"{self._target.path} is no cache to publish to: {error}") from error

    def _closure(self, release: Release) -> dict[str, Expected]:
        return whole_closure(nix_closure(release.artifact), self._vouch, self._limits)

    def _vouch(self, path: str) -> Expected:
        """What upstream says of a path: in the source, or in what was copied when the source has lost it."""
        for look_up in (self._source.look_up, self._shelf.narinfo, partial(self._shelf.narinfo, staged=True)):
            try:
                found = vouched(look_up(path), path, self._upstream_keys)
            except AbsentError:
                continue
            if found is not None:
                return found
        raise PublicationError(
            f"{path} is in the closure, but the receipt does not list it and no trusted upstream key signed it: "
            "let the receipt list it, or name the upstream's key in the catalogue."
        )

    def _copy_one(self, progress: Progress, expected: Expected) -> None:
        if self._shelf.staged(expected) is None:
            self._shelf.stage(copy_nar(self._source, expected, self._target, self._limits, progress))

    def _holds(self, name: str, data: bytes) -> bool:
        try:
            return self._target.read(name, len(data)) == data
        except LimitExceededError:
            return False
