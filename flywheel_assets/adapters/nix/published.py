"""What a consumer finds on a durable cache with nothing but a reference: where it leads, and the proofs there."""

import re

from flywheel_assets.adapters.nix.cache_files import CacheFiles
from flywheel_assets.domain.digests import Sha256
from flywheel_assets.domain.errors import AbsentError, PublicationError, UsageError, printable
from flywheel_assets.domain.limits import Limits
from flywheel_assets.domain.names import STORE_PATH, store_path_hash
from flywheel_assets.domain.publications import Attached, Form

ATTESTATIONS = "attestations"
# A web server lists nothing, so a consumer asks for these.
_RELEASE_CHARS = 32
_PROOFS = ("provenance", "vsa")
_SUFFIX = {Form.DSSE: "dsse.json", Form.BUNDLE: "sigstore.json"}
_REFERENCE = re.compile(rf"((?:file:///|https?://|s3://)[^\x00-\x20#]*)#({STORE_PATH.pattern})")


def surface_reference(place: str, root: str) -> str:
    """``<URL of the cache>#<store path>``."""
    return f"{place}#{root}"


def parse_reference(reference: str) -> tuple[str, str]:
    """URL of the cache and store path out of what ``surface_reference`` wrote; UsageError otherwise."""
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        raise UsageError(
            f"{printable(reference)!r} is no published store path: write it as https://cache#/nix/store/…, "
            "or with file:///folder or s3://bucket before the #."
        )
    return match[1], match[2]


def proof_name(name: str, form: Form) -> str:
    """The file of a proof. Raises PublicationError for one that no consumer would ask for."""
    if name not in _PROOFS or form not in _SUFFIX:
        raise PublicationError(f"{name} ({form}) is no proof that consumers of a Nix cache look for: {_PROOFS} are.")
    return f"{name}.{_SUFFIX[form]}"


def proofs_folder(root: str, resource: str | None = None) -> str:
    """Where the proofs of ``root`` lie. Those of one release of a flake, by its ``resource``, have a folder below.

    An output that did not change has one store path in many releases, and each was approved by itself.
    """
    folder = f"{ATTESTATIONS}/{store_path_hash(root)}"
    return f"{folder}/{Sha256.of(resource.encode()).hex[:_RELEASE_CHARS]}" if resource else folder


def attestations(files: CacheFiles, root: str, limits: Limits, resource: str | None = None) -> tuple[Attached, ...]:
    """The proofs of ``root``, in a fixed order; none when none were attached. Raises as ``CacheFiles.read``."""
    found = []
    for name in _PROOFS:
        for form in _SUFFIX:
            file = f"{proofs_folder(root, resource)}/{proof_name(name, form)}"
            try:
                # An envelope holds its payload in base64, a third longer, and signatures.
                found.append(Attached(data=files.read(file, 2 * limits.receipt_bytes), form=form))
            except AbsentError:
                continue
    return tuple(found)
