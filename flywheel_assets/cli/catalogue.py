"""`flywheel catalog check` and `flywheel catalog schema`."""

from pathlib import Path

import click

from flywheel_assets.catalog.loading import load_catalogue
from flywheel_assets.catalog.schema import catalogue_schema
from flywheel_assets.cli.console import console, print_json
from flywheel_assets.wiring import settings


@click.group(help="Check a catalogue, or print its JSON Schema.")
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


@catalog.command(help="Print the JSON Schema, for editors.")
def schema() -> None:
    """The schema of one catalogue file, base or overlay."""
    print_json(catalogue_schema())
