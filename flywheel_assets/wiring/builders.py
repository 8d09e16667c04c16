"""What `flywheel receipt` needs of the adapters, by the names that say what it gets.

What is imported here is all in the package's base dependencies: a builder installs no others.
"""

import json
import sys
from pathlib import Path

from flywheel_assets.adapters.git import read_checkout
from flywheel_assets.adapters.nix.builder import closure_of, derivation_outputs
from flywheel_assets.adapters.signatures.keys import DsseSigner
from flywheel_assets.adapters.writing import write_atomically
from flywheel_assets.domain.artifacts import BazelOutputs, OciImage
from flywheel_assets.domain.errors import UsageError, printable
from flywheel_assets.domain.statements import canonical
from flywheel_assets.ports import Signer

nix_closure, nix_outputs, git_checkout = closure_of, derivation_outputs, read_checkout


def oci_image(image: str, reference: str | None, repository: str | None, netrc: Path | None) -> OciImage:
    """An image in a layout's folder, by ``reference``, or, without one, wherever ``image`` refers to."""
    from flywheel_assets.adapters.http.credentials import ANONYMOUS, Credentials
    from flywheel_assets.adapters.oci.builder import image_at, image_in_layout

    if reference is None:
        return image_at(image, repository, credentials=Credentials(netrc=netrc) if netrc else ANONYMOUS)
    if repository is None:
        raise UsageError("An image in a layout has no name of its own: give --image-repository.")
    return image_in_layout(Path(image), reference, repository)


def bazel_outputs(
    log: Path | None,
    label: str,
    *,
    events: Path | None,
    mnemonic: str | None,
    output: str | None,
    disk_cache: Path | None,
) -> BazelOutputs:
    """The outputs of one action, from the execution log, the build events, or both."""
    from flywheel_assets.adapters.bazel.builder import outputs_in_events, outputs_in_log
    from flywheel_assets.adapters.bazel.events import target_files

    if log is None and events is None:
        raise UsageError("Where the outputs are to be read is not said: give --log, or --events, or both.")
    made = target_files(events, label) if events else None
    if log is None:
        return outputs_in_events(made or (), label, disk_cache=disk_cache)
    return outputs_in_log(log, label, made=made, mnemonic=mnemonic, output=output, disk_cache=disk_cache)


def builder_signer(key_file: str | None, key_text: str | None) -> Signer:
    """The builder's signer, from a file or from the text that the environment holds. Raises UsageError."""
    if key_file:
        return DsseSigner(_key_in(key_file), key_file)
    if key_text:
        return DsseSigner(key_text.encode(), "FLYWHEEL_SIGNING_KEY")
    raise UsageError("A receipt must be signed: give --key FILE, or the key itself in FLYWHEEL_SIGNING_KEY.")


def _key_in(file: str) -> bytes:
    """What lies there. Only what looks like a file's name is repeated: it may be the key itself that was given."""
    try:
        return Path(file).read_bytes()
    except (OSError, ValueError) as error:
        named = file if Path(file).suffix and " " not in file and file.isprintable() else "what --key gives"
        reason = error.strerror if isinstance(error, OSError) else "it is no name of a file"
        raise UsageError(
            f"{printable(named)} cannot be read: {reason}. --key takes the name of a file, "
            "FLYWHEEL_SIGNING_KEY a key itself."
        ) from error


def write_receipt(document: bytes, target: str, name: str) -> None:
    """Write a receipt to standard output, a file, or under ``name`` into an inbox folder, whole or not at all.

    Raises UsageError for a folder that is not there: what was to be an inbox would be one file, each receipt in the
    place of the one before; and one that was made here would be read by nobody.
    """
    if target == "-":
        sys.stdout.buffer.write(document + b"\n")
        return
    path = Path(target)
    if path.is_dir():
        path /= name
    elif path.suffix != ".json":
        raise UsageError(f"--to: {printable(target)} is no folder. Make it, or name a file that ends in .json.")
    write_atomically(path, document)


def write_unsigned(statement: bytes, folder: Path) -> None:
    """Write a statement for others to sign into ``folder``, which is made: whole, and in parts.

    ``statement.json`` is for what signs statements; ``predicate.json`` and ``subjects.sha256`` (lines as of sha256sum)
    are for what puts them together itself.
    """
    parts = json.loads(statement)
    subjects = "".join(f"{subject['digest']['sha256']}  {subject['name']}\n" for subject in parts["subject"])
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "predicate.json", canonical(parts["predicate"]))
    write_atomically(folder / "subjects.sha256", subjects.encode())
    write_atomically(folder / "statement.json", statement)
