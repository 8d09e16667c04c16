"""A durable Nix cache of one's own, in a folder, in S3 or on a web server, as a publication surface that copies.

What a consumer can ask for by name is ``<hash>.narinfo``; everything before those is invisible: NARs under the hash
of their file, proofs in ``attestations``. Each step looks at what is there and does the rest, so any of them can be
interrupted anywhere and run again.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from pathlib import Path

from flywheel_assets.adapters.files import one_at_a_time
from flywheel_assets.adapters.http.retrying import patiently
from flywheel_assets.adapters.nix.cache import NixCache
from flywheel_assets.adapters.nix.cache_files import CACHE_INFO, CacheFiles, DurableFiles
from flywheel_assets.adapters.nix.closure import (
    Expected,
    in_reference_order,
    members,
    nix_closure,
    reference_graph,
    vouched,
    whole_closure,
)
from flywheel_assets.adapters.nix.copying import Filed, copy_nar
from flywheel_assets.adapters.nix.durable import DurableFolder
from flywheel_assets.adapters.nix.narinfo import NarInfo
from flywheel_assets.adapters.nix.parallel import each_after_its_references, in_parallel
from flywheel_assets.adapters.nix.published import (
    ATTESTATIONS,
    attestations,
    proof_name,
    proofs_folder,
    surface_reference,
)
from flywheel_assets.adapters.nix.shelf import Shelf
from flywheel_assets.adapters.nix.signatures import NixSigningKey, public_key
from flywheel_assets.domain.artifacts import Artifact
from flywheel_assets.domain.errors import (
    AbsentError,
    InvalidInputError,
    LimitExceededError,
    PublicationError,
    ReadError,
)
from flywheel_assets.domain.inspections import Reading
from flywheel_assets.domain.limits import DEFAULT_LIMITS, Limits
from flywheel_assets.domain.publications import Attached, Plan, Proof, Release
from flywheel_assets.domain.withdrawals import Unpublished
from flywheel_assets.ports import Progress, agreed

_CACHE_INFO_TEXT = b"StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 30\n"
_NARS = "nar"
# A body that broke off is read once more; opening has a patience of its own.
_COPY_ATTEMPTS = 2


class NixCacheSurface:
    """``ports.PublicationSurface`` over the files of a durable cache; a path is short for those of a folder.

    ``signing_key`` is the release key, whose signature consumers demand. ``upstream_keys`` may speak for paths
    that a receipt does not list; their signatures are published along. ``consumer`` is how others read the same
    cache, if not as this pipeline does. Raises UsageError for a key that is none.
    """

    def __init__(
        self,
        target: DurableFiles | Path,
        source: NixCache,
        signing_key: NixSigningKey,
        limits: Limits = DEFAULT_LIMITS,
        upstream_keys: tuple[str, ...] = (),
        *,
        consumer: CacheFiles | None = None,
    ) -> None:
        for key in upstream_keys:
            public_key(key)
        self._target: DurableFiles = DurableFolder(target) if isinstance(target, Path) else target
        self._shelf = Shelf(self._target, signing_key, limits)
        self._reader = consumer or self._target
        self._consumer = NixCache(self._reader, (signing_key.public_text,), limits, members_are_signed=True)
        self._source = source
        self._limits = limits
        self._upstream_keys = upstream_keys
        # What plan found out about the closure, for the steps after it.
        self._planned: tuple[Artifact, dict[str, Expected]] | None = None
        self._copied: dict[str, Filed] = {}

    def plan(self, release: Release) -> Plan:
        """What is wanted minus what is present: ``missing`` NARs to copy, ``names`` whose narinfo to write.

        Raises NameTakenError when a narinfo there says something else of a path, ReadError when source or
        target cannot be read, PublicationError when a path is neither in the receipt nor vouched for upstream.
        """
        self._check_store_dir()
        paths = whole_closure(nix_closure(release.artifact), self._vouch_all, self._limits)
        self._planned = release.artifact, paths
        order = in_reference_order(paths)
        present = in_parallel(self._present, order, self._threads)
        found = {each.path: info for each, info in zip(order, present, strict=True)}
        missing = {path for path, info in found.items() if info is None}
        return Plan(
            release=release,
            reference=surface_reference(self._target.place, nix_closure(release.artifact).root),
            missing=tuple(sorted(missing)),
            present=tuple(sorted(paths.keys() - missing)),
            names=tuple(path for path, info in found.items() if info is None or not self._shelf.is_signed(info)),
        )

    def copy(self, plan: Plan, progress: Progress) -> None:
        """Copy the missing NARs, several at a time; ``progress`` gets bytes of the source's files.

        Raises ReadError or InvalidInputError for the source, PublicationError for bytes that are not the
        approved ones or cannot be written.
        """
        paths = self._closure(plan.release)
        self._target.prepare(_NARS)
        copy = partial(self._copy_one, one_at_a_time(progress))
        # The largest first: nothing is left to do beside one that comes last.
        missing = sorted((paths[path] for path in plan.missing), key=lambda each: -each.nar_size)
        self._copied.update(in_parallel(copy, missing, self._threads))
        self._target.settle()

    def attach(self, plan: Plan, proofs: Sequence[Proof]) -> None:
        """Put each proof to ``attestations/<hash>/<name>.dsse.json``, once; bundles to ``<name>.sigstore.json``.

        Those of a flake's release go to a folder of that release below it (``proofs_folder``).

        Raises PublicationError when another proof has that name already, or it cannot be written.
        """
        root = nix_closure(plan.release.artifact).root
        folder = proofs_folder(root, _resource(plan.release))
        self._target.prepare(ATTESTATIONS, proofs_folder(root), folder)
        for proof in proofs:
            name = f"{folder}/{proof_name(proof.name, proof.form)}"
            if not self._target.put_once(name, proof.envelope) and not self._holds(name, proof.envelope):
                raise PublicationError(
                    f"{self._target.place}/{name} holds another proof already, and a proof is published once. "
                    "Either another installation publishes to this cache, or the evidence of this one was lost: "
                    "restore the keys and evidence of its FLYWHEEL_HOME, or publish to another cache."
                )
        self._target.settle()

    def reveal(self, plan: Plan, last_word: Callable[[], object] = agreed) -> None:
        """Write the narinfos, each after those that it refers to and the root last, signed by the release key.

        Of a large closure that takes minutes: ``last_word`` is asked before the root's.

        Raises PublicationError when a NAR was not copied, NameTakenError when somebody was faster with other
        content.
        """
        closure = nix_closure(plan.release.artifact)
        paths, names = self._closure(plan.release), frozenset(plan.names)
        self._target.prepare()
        self._target.put_once(CACHE_INFO, _CACHE_INFO_TEXT)
        self._check_store_dir()

        def reveal(path: str) -> None:
            is_root = path == closure.root
            if is_root:
                self._target.settle()  # not even a power cut shows the root without what it refers to
                last_word()
            if path in names:
                self._shelf.reveal(paths[path], self._copied.get(path), closure.deriver if is_root else None)

        each_after_its_references(reference_graph(paths), reveal, self._threads)
        self._target.settle()
        for path in paths:
            self._copied.pop(path, None)

    def read_back(self, release: Release, progress: Progress, proofs: Sequence[Proof] = ()) -> tuple[Reading, ...]:
        """The whole closure as a consumer that trusts the release key alone reads it; every NAR is hashed.

        ``vouched_by`` of each reading is the release key's name where it signed that narinfo.
        """
        del proofs  # each is one file, and lies where ``self.proofs`` finds it
        return self._consumer.inspect(release.artifact, progress)

    def proofs(self, release: Release) -> tuple[Attached, ...]:
        """What lies beside the artifact, or is of its release as a flake. Raises ReadError or InvalidInputError."""
        return attestations(self._reader, nix_closure(release.artifact).root, self._limits, _resource(release))

    def withdraw(self, release: Release, mark: Proof, others: Collection[str]) -> Unpublished:
        """``mark`` takes the place of the summary; then the narinfos that no other closure needs go, the root's first.

        Of a flake's release that is the summary in the folder of that release (``proofs_folder``).

        So nothing that is visible ever refers to what is gone. NARs stay: nobody finds them by name, and another path
        may have the same. The paths are those of the receipt; what an upstream vouched for is the upstream's.
        Where it cannot be told what others need, all stays but for the root, and of what cannot be read itself what
        that refers to.
        """
        closure = nix_closure(release.artifact)
        folder = proofs_folder(closure.root, _resource(release))
        self._target.prepare(ATTESTATIONS, proofs_folder(closure.root), folder)
        self._target.put(f"{folder}/{proof_name(mark.name, mark.form)}", mark.envelope)
        self._target.settle()
        needed, untold = self._shelf.needed(others)
        kept = [f"{closure.root} is needed by something else that is published here"] * (closure.root in needed)
        listed = members(closure)
        order = [path for path in reference_graph(listed).static_order() if path in listed]
        going = [path for path in reversed(order) if path not in needed and (path == closure.root or not untold)]
        removed, unread = self._removed(listed[path] for path in going)
        return Unpublished(removed=removed, remaining=(*kept, *untold, *unread))

    def _removed(self, going: Iterable[Expected]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Which narinfos went, each before those that it refers to, and why no more of them did."""
        removed = []
        for each in going:
            try:
                removed += [each.path] * self._shelf.remove(each)
            except (ReadError, InvalidInputError) as error:
                return tuple(removed), (f"{each.path}, and what it refers to: {error}",)
        return tuple(removed), ()

    @property
    def _threads(self) -> int:
        return max(self._target.threads, self._source.threads)

    def _check_store_dir(self) -> None:
        try:
            NixCache(self._target, (), self._limits).check_store_dir()
        except AbsentError:
            return  # a new cache, whose nix-cache-info reveal writes
        except InvalidInputError as error:
            raise PublicationError(f"{self._target.place} is no cache to publish to: {error}") from error

    def _closure(self, release: Release) -> dict[str, Expected]:
        planned = self._planned
        if planned is not None and planned[0] is release.artifact:
            return planned[1]
        return whole_closure(nix_closure(release.artifact), self._vouch_all, self._limits)

    def _vouch_all(self, paths: Sequence[str]) -> list[Expected]:
        return in_parallel(self._vouch, paths, self._threads)

    def _vouch(self, path: str) -> Expected:
        """What upstream says of a path: in the source, or on the surface when the source has lost it."""
        for look_up in (self._source.look_up, self._shelf.narinfo):
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

    def _present(self, expected: Expected) -> NarInfo | None:
        """The narinfo that consumers see, when its NAR is there too."""
        info = self._shelf.visible(expected)
        return info if info is not None and self._shelf.has_file(info) else None

    def _copy_one(self, progress: Progress, expected: Expected) -> tuple[str, Filed]:
        copy = partial(copy_nar, self._source, expected, self._target, self._limits, progress)
        return expected.path, patiently(copy, attempts=_COPY_ATTEMPTS)

    def _holds(self, name: str, data: bytes) -> bool:
        try:
            return self._target.read(name, len(data)) == data
        except LimitExceededError:
            return False


def _resource(release: Release) -> str | None:
    return release.flake.resource if release.flake else None
