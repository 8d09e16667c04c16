"""What each path of a closure must be, who says so, and in which order paths are made visible. Pure.

The receipt speaks for its members, references included. A path that it does not list is spoken for by the
signature of a trusted upstream cache, and by nothing else.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from flywheel_assets.adapters.nix.narinfo import NarInfo, fingerprint
from flywheel_assets.adapters.nix.signatures import verify_signature
from flywheel_assets.domain.artifacts import Artifact, NixClosure
from flywheel_assets.domain.digests import NarHash
from flywheel_assets.domain.errors import PublicationError, UsageError
from flywheel_assets.domain.limits import Limits


@dataclass(frozen=True, slots=True)
class Expected:
    """A store path as it must be. ``vouched_by`` and ``sigs`` are of the upstream keys that say so, if any."""

    path: str
    nar_hash: NarHash
    nar_size: int
    references: tuple[str, ...]
    vouched_by: str = ""
    sigs: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """What a signature of this path is made over."""
        return fingerprint(self.path, self.nar_hash, self.nar_size, self.references)


def nix_closure(artifact: Artifact) -> NixClosure:
    """``artifact`` itself. Raises UsageError when it is of another kind."""
    if not isinstance(artifact, NixClosure):
        raise UsageError(f"A Nix cache holds store paths, not {artifact.kind} artifacts: name another surface.")
    return artifact


def members(closure: NixClosure) -> dict[str, Expected]:
    """What the receipt says of its members, by path."""
    return {
        member.path: Expected(member.path, member.nar_hash, member.nar_size, member.references)
        for member in closure.members
    }


def signatures(info: NarInfo, public_keys: Sequence[str]) -> dict[str, str]:
    """The narinfo's signatures that verify, by the name of their key."""
    text = fingerprint(info.store_path, info.nar_hash, info.nar_size, info.references)
    found = ((verify_signature(sig, text, public_keys), sig) for sig in info.sigs)
    return {name: sig for name, sig in found if name is not None}


def vouched(info: NarInfo, path: str, public_keys: Sequence[str]) -> Expected | None:
    """What trusted keys say of ``path`` in its narinfo; None when none of them signed it, or signed another."""
    valid = signatures(info, public_keys)
    if info.store_path != path or not valid:
        return None
    return Expected(
        path, info.nar_hash, info.nar_size, info.references, min(valid), tuple(valid[name] for name in valid)
    )


def differences(info: NarInfo, expected: Expected) -> tuple[str, ...]:
    """Where a narinfo contradicts what its path must be, one sentence each. Added references are not here."""
    says = f"upstream key {expected.vouched_by}" if expected.vouched_by else "the receipt"
    lacking = sorted(set(expected.references) - set(info.references))
    pairs = (
        ("StorePath", info.store_path, expected.path),
        ("NarHash", str(info.nar_hash), str(expected.nar_hash)),
        ("NarSize", str(info.nar_size), str(expected.nar_size)),
    )
    found = [f"narinfo says {key} {one}, {says} {other}" for key, one, other in pairs if one != other]
    if lacking:
        found.append(f"narinfo lacks {len(lacking)} reference(s) that {says} lists, such as {lacking[0]}")
    return tuple(found)


def whole_closure(
    closure: NixClosure, vouch: Callable[[Sequence[str]], Sequence[Expected]], limits: Limits
) -> dict[str, Expected]:
    """Every path that the root refers to, by path; ``vouch`` answers, in order, for those that no receipt lists.

    Raises PublicationError when that is more than the limits allow, or when the receipt lists a path that the
    root does not refer to (it would be published with nothing that asks for it); and what ``vouch`` raises.
    """
    listed = members(closure)
    found: dict[str, Expected] = {}
    pending = {closure.root}
    while pending:
        if len(found) + len(pending) > limits.closure_members:
            raise PublicationError(f"{closure.root} refers to over {limits.closure_members:,} paths.")
        found.update((path, listed[path]) for path in pending if path in listed)
        unlisted = sorted(pending - listed.keys())
        found.update(zip(unlisted, vouch(unlisted), strict=True))
        pending = {name for path in pending for name in found[path].references} - found.keys()
    strangers = sorted(listed.keys() - found.keys())
    if strangers:
        raise PublicationError(
            f"The receipt of {closure.root} lists {strangers[0]}, which the root does not refer to: "
            "emit the receipt anew with `flywheel receipt nix`."
        )
    return found


def in_reference_order(paths: Mapping[str, Expected]) -> tuple[Expected, ...]:
    """Each path after those that it refers to, the root last. PublicationError when paths refer in a circle."""
    try:
        return tuple(paths[path] for path in reference_graph(paths).static_order())
    except CycleError as error:
        around = " -> ".join(error.args[1][:4])
        raise PublicationError(
            f"Store paths refer to each other in a circle, which Nix never makes: {around}."
        ) from error


def reference_graph(paths: Mapping[str, Expected]) -> TopologicalSorter[str]:
    """What refers to what, but for references of paths to themselves."""
    return TopologicalSorter({path: sorted(set(paths[path].references) - {path}) for path in sorted(paths)})
