"""What a catalogue may say of releases that a workflow of the source's own makes: surface, forge, target."""

from collections.abc import Iterator
from itertools import takewhile
from urllib.parse import urlsplit

from flywheel_assets.catalog.models import (
    Catalogue,
    DurableSurface,
    FlakeTarget,
    Output,
    PublicationTarget,
    Visibility,
    Way,
)
from flywheel_assets.catalog.urls import is_confidential, is_http
from flywheel_assets.domain.names import is_flake_attribute

NO_BASIC_AUTH = "has a user and a password, and a forge takes a token: give it as `bearer`"
Complaint = tuple[tuple[str, ...], str]
_FLAKEHUB = "https://api.flakehub.com"


def flake_surfaces(catalogue: Catalogue) -> Iterator[Complaint]:
    """What does not hold of FlakeHub's surfaces and their forges."""
    for name, surface in catalogue.surfaces.items():
        if not isinstance(surface, DurableSurface):
            continue
        path, forge = ("surfaces", name), surface.forge
        if surface.protocol != "flakehub":
            if forge is not None:
                yield (*path, "forge"), f"belongs to a flakehub surface, and this one is {surface.protocol}"
            continue
        if not (is_http(surface.url) and is_confidential(surface.url)):
            yield (*path, "url"), "is FlakeHub's API: https, or http on this machine"
        if surface.credential is not None:
            yield (*path, "credential"), "is not for FlakeHub, which takes no release from here: see `forge`"
        if forge is not None and forge.credential.user is not None:
            yield (*path, "forge", "credential"), NO_BASIC_AUTH
        elif forge is not None and not forge.credential.authorises:
            yield (
                (*path, "forge", "credential"),
                "has no token, and nobody else may start a workflow: give it as `bearer`",
            )
        if forge is not None and not is_confidential(forge.url):
            yield (*path, "forge", "url"), "would show the forge's token to all who are on the way: use https"


def released(
    catalogue: Catalogue, path: tuple[str, ...], output: Output, target: PublicationTarget, surface: DurableSurface
) -> Iterator[Complaint]:
    """What a workflow of the source's own releases: where that is asked for, and what carries the binaries."""
    triggers = surface.protocol == "flakehub"
    if triggers != (target.way is Way.TRIGGERS):
        yield (*path, "way"), "flakehub takes `triggers`, and only flakehub does"
        return
    if not triggers:
        if target.flake is not None:
            yield (*path, "flake"), f"belongs to a flakehub surface, and {target.surface!r} is none"
        return
    if surface.forge is None:
        yield (
            (*path, "surface"),
            f"{target.surface!r} names no `forge`, where the workflows that publish to it are started",
        )
    if not is_flake_attribute(output.definition):
        yield (*path[:-1], "definition"), "is no attribute of a flake, such as packages.x86_64-linux.default"
    if target.flake is None:
        yield path, "needs `flake`: its name on FlakeHub, its versions, its workflow, and what carries its binaries"
        return
    yield from _flake(catalogue, (*path, "flake"), output, target.flake, surface)


def _flake(
    catalogue: Catalogue, path: tuple[str, ...], output: Output, flake: FlakeTarget, surface: DurableSurface
) -> Iterator[Complaint]:
    binaries = catalogue.surfaces.get(flake.binaries)
    if not isinstance(binaries, DurableSurface) or binaries.protocol != "nix":
        yield (*path, "binaries"), f"{flake.binaries!r} is not a durable Nix cache"
    elif surface.visibility is Visibility.PUBLIC and binaries.visibility is not Visibility.PUBLIC:
        yield (*path, "binaries"), f"{flake.binaries!r} is not for all who may see the release"
    for other, entry in takewhile(lambda each: each[1] is not output, catalogue.outputs.items()):
        theirs = entry.publication.flake if entry.publication else None
        if theirs is not None and theirs.name.lower() == flake.name.lower():
            yield (*path, "name"), f"{flake.name!r} is released by the output {other!r} too"


def unlikely(catalogue: Catalogue) -> Iterator[str]:
    """A sentence for what FlakeHub itself, or a runner, will most likely refuse. Neither can be asked from here.

    FlakeHub has the last word on names, and a folder may be served to others under a URL of which no catalogue tells.
    """
    for name, output in catalogue.outputs.items():
        target = output.publication
        if target is None or target.flake is None:
            continue
        if not catalogue.durable(target.surface).url.startswith(_FLAKEHUB):
            continue
        flake, path = target.flake, f"outputs.{name}.publication.flake"
        owner, _, _ = urlsplit(output.repository).path.strip("/").partition("/")
        if flake.name.partition("/")[0].lower() != owner.lower():
            yield f"{path}.name: FlakeHub takes {flake.name} from no repository of {owner}: that comes first in it."
        if not catalogue.durable(flake.binaries).url.startswith(("https:", "s3:")):
            yield (
                f"{path}.binaries: {flake.binaries!r} is written at {catalogue.durable(flake.binaries).url}, where no "
                "runner and no consumer elsewhere reads it: it takes https or a public bucket."
            )
