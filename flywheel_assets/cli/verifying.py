"""`flywheel verify`: what a consumer runs, offline, with a reference and the release public key."""

from pathlib import Path

import click

from flywheel_assets.cli.console import bytes_progress, console, print_json
from flywheel_assets.cli.standing_in import flakehub_of
from flywheel_assets.domain.errors import UsageError
from flywheel_assets.promotion.verification import Verified, verify_reference
from flywheel_assets.wiring import FLAKEHUB, published_reader, settings

MAX_KEY_BYTES = 16 * 1024


@click.command(help="Verify a published artifact offline: summary, provenance and every byte, from the surface alone.")
@click.argument("reference")
@click.option("--key", "key_file", required=True, help="The release public key, PEM (keys/release.pub).")
@click.option(
    "--nix-key", "nix_keys", multiple=True, help="name:base64; may vouch for store paths that provenance leaves out."
)
@click.option("--netrc", default=None, type=click.Path(path_type=Path), help="For what is not readable anonymously.")
@click.option("--cache", default=None, help="For flakehub: the Nix cache that carries the closure and the proofs.")
@click.option(
    "--flakehub", default=FLAKEHUB, envvar="FLYWHEEL_FLAKEHUB", help="Base of FlakeHub's API.", show_default=True
)
@click.option("--save", default=None, type=click.Path(path_type=Path), help="Folder to write the verified proofs to.")
@click.option("--resource", default=None, help="What the summary must speak of, such as oci:ghcr/org/name.")
@click.option("--json", "as_document", is_flag=True, help="Print the stable JSON document (docs/json.md).")
def verify(
    reference: str,
    key_file: str,
    nix_keys: tuple[str, ...],
    netrc: Path | None,
    cache: str | None,
    flakehub: str,
    save: Path | None,
    resource: str | None,
    as_document: bool,
) -> None:
    """Verify; exit 1 with a sentence when anything does not hold."""
    with flakehub_of(reference, flakehub, settings().home) as hub, bytes_progress("verifying") as progress:
        surface, verifier = published_reader(reference, nix_keys, netrc, cache=cache, flakehub=hub)
        found = verify_reference(surface, verifier, _public_key(Path(key_file)), reference, progress, resource=resource)
    if save is not None:
        _save(found, save)
    if as_document:
        print_json({"schema": 1, **found.document()})
        return
    _print(found)


def _print(found: Verified) -> None:
    out = console()
    out.print(f"Verified {found.reference}")
    for label, value in found.document().items():
        if label != "reference":
            text = ", ".join(value) if isinstance(value, list) else value
            out.print(f"  {label.replace('_', ' ')}: {text}")


def _save(found: Verified, folder: Path) -> None:
    """Write the envelopes, for verifiers that take files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, envelope in found.envelopes.items():
        (folder / name).write_bytes(envelope)


def _public_key(path: Path) -> str:
    with path.open("rb") as stream:
        data = stream.read(MAX_KEY_BYTES + 1)
    if len(data) > MAX_KEY_BYTES or b"-----BEGIN PUBLIC KEY-----" not in data:
        raise UsageError(f"{path} is not a public key in PEM. Give the publisher's release.pub.")
    return data.decode("ascii", "replace")
