"""`flywheel catalog check`, `catalog schema` and `catalog workflow`."""

import json
from pathlib import Path

import click

from flywheel_assets.catalog.flakes import unlikely
from flywheel_assets.catalog.loading import load_catalogue
from flywheel_assets.catalog.schema import catalogue_schema
from flywheel_assets.cli.console import console, print_json
from flywheel_assets.domain.errors import UsageError
from flywheel_assets.wiring import settings
from flywheel_assets.wiring.installation import release_nix_key
from flywheel_assets.wiring.secrets import unset


@click.group(help="Check a catalogue, or print its JSON Schema, or what a publishing workflow says of it.")
def catalog() -> None:
    """Commands about the catalogue."""


@catalog.command(help="Check catalogue files: the base first, then overlays. Without files, those in use.")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
def check(files: tuple[Path, ...]) -> None:
    """Exit 2 with one line per problem: file, line, sentence."""
    chosen = list(files) or list(settings().catalogues)
    found = load_catalogue(chosen)
    console().print(
        f"{found.name}: {len(found.outputs)} outputs, {len(found.builders)} builders, "
        f"{len(found.surfaces)} surfaces, {len(found.keys)} keys. {found.digest}"
    )
    for sentence in (*unset(found), *unlikely(found)):
        console().print(f"  {sentence}")


@catalog.command(help="Print the JSON Schema, for editors.")
def schema() -> None:
    """The schema of one catalogue file, base or overlay."""
    print_json(catalogue_schema())


@catalog.command(help="Print `env:` for the workflow that publishes a flake output, as this installation has it.")
@click.argument("output")
def workflow(output: str) -> None:
    """The values of docs/servers.md, "FlakeHub". Raises UsageError for what no workflow publishes."""
    chosen = settings()
    catalogue = load_catalogue(list(chosen.catalogues))
    known = catalogue.outputs.get(output)
    target = known.publication if known else None
    if target is None or target.flake is None:
        raise UsageError(f"{output} is no output that a workflow publishes: none with `flake` under `publication`.")
    flake = target.flake
    values = {
        "TRUSTED_REF": flake.ref if flake.ref.startswith("refs/") else f"refs/heads/{flake.ref}",
        "FLAKE": flake.name,
        "VERIFIER": catalogue.verifier_uri,
        "POLICY": catalogue.policy_uri,
        "CACHE": catalogue.durable(flake.binaries).url,
        "CACHE_KEY": release_nix_key(chosen.home / "keys").public_text,
    }
    click.echo("env:\n" + "\n".join(f"  {name}: {json.dumps(value)}" for name, value in values.items()))
