"""What a catalogue's parts say of each other: each complaint with the path of the entry at fault."""

from collections.abc import Iterator
from pathlib import PurePosixPath
from posixpath import normpath
from urllib.parse import unquote

from flywheel_assets.catalog.deciding import complaints_about_decisions
from flywheel_assets.catalog.flakes import NO_BASIC_AUTH, Complaint, flake_surfaces, released
from flywheel_assets.catalog.models import (
    ArtifactType,
    Audience,
    Catalogue,
    DurableSurface,
    MutableSurface,
    Output,
    PublicationTarget,
    Purpose,
    Role,
    SourceKind,
    Visibility,
    Way,
)
from flywheel_assets.catalog.urls import is_http, is_server
from flywheel_assets.domain.errors import InvalidInputError
from flywheel_assets.domain.untrusted import parse_json

TRUSTED_ROOT = "application/vnd.dev.sigstore.trustedroot+json;version=0.1"


def complaints(catalogue: Catalogue) -> Iterator[Complaint]:
    """Every cross-reference that does not hold, as (path, sentence)."""
    yield from _owners(catalogue)
    yield from _keys(catalogue)
    yield from _trust_root(catalogue)
    yield from _servers(catalogue)
    yield from _surfaces(catalogue)
    yield from flake_surfaces(catalogue)
    yield from _sources(catalogue)
    yield from _rebuilder(catalogue)
    for name, output in catalogue.outputs.items():
        yield from _output(catalogue, name, output)
    yield from complaints_about_decisions(catalogue)


def _owners(catalogue: Catalogue) -> Iterator[Complaint]:
    named = [(("builders", name), builder.owner) for name, builder in catalogue.builders.items()]
    named += [(("surfaces", name), surface.owner) for name, surface in catalogue.surfaces.items()]
    named += [(("outputs", name), output.owner) for name, output in catalogue.outputs.items()]
    for path, owner in named:
        if owner not in catalogue.owners:
            yield (*path, "owner"), f"names the owner {owner!r}, who is not in owners"


def _keys(catalogue: Catalogue) -> Iterator[Complaint]:
    for name, key in catalogue.keys.items():
        for number, label in enumerate(key.builders):
            if label not in catalogue.builders:
                yield (
                    ("keys", name, "builders", str(number)),
                    f"speaks for the builder {label!r}, which is not catalogued",
                )
        for number, uri in enumerate(key.repositories):
            if uri not in catalogue.repositories:
                yield ("keys", name, "repositories", str(number)), f"speaks for {uri}, which is not in repositories"
        if key.identity is not None and catalogue.trust_root is None:
            yield ("keys", name, "identity"), "is keyless, and the catalogue gives no trust_root to verify it against"


def _trust_root(catalogue: Catalogue) -> Iterator[Complaint]:
    """Whether it is a trusted root at all; whether its keys can be used, only its own library can tell."""
    if catalogue.trust_root is None:
        return
    try:
        root = parse_json(catalogue.trust_root.encode(), "trust_root")
    except InvalidInputError:
        root = {}
    if root.get("mediaType") != TRUSTED_ROOT:
        yield ("trust_root",), f"is no Sigstore trusted root: JSON with the mediaType {TRUSTED_ROOT}"
        return
    for part in ("certificateAuthorities", "ctlogs", "tlogs"):
        if not root.get(part):
            yield ("trust_root",), f"names no {part}, and without them nothing keyless verifies"


def _servers(catalogue: Catalogue) -> Iterator[Complaint]:
    """URLs for which no client could be made: told here, with the line, and not by every command."""
    named: list[tuple[tuple[str, ...], str]] = []
    for name, surface in catalogue.surfaces.items():
        named.append((("surfaces", name, "url"), surface.url))
        if isinstance(surface, DurableSurface) and surface.forge is not None:
            named.append((("surfaces", name, "forge", "url"), surface.forge.url))
    named += [(("sources", name, "url"), source.url) for name, source in catalogue.sources.items()]
    for path, url in named:
        if is_http(url) and not is_server(url):
            yield path, "names no server: write https://host or https://host:port"


def _surfaces(catalogue: Catalogue) -> Iterator[Complaint]:
    for name, surface in catalogue.surfaces.items():
        path = ("surfaces", name)
        if surface.url.startswith("s3:") and not (isinstance(surface, DurableSurface) and surface.protocol == "nix"):
            yield (*path, "url"), "is in S3, where only a durable Nix cache can be"
        if isinstance(surface, DurableSurface) and is_http(surface.url):
            is_public = surface.visibility is Visibility.PUBLIC
            if is_public and surface.read_credential is not None:
                yield (*path, "read_credential"), "is not for a public surface, which is read back anonymously"
            if not is_public and surface.read_credential is None:
                yield (*path, "read_credential"), "is needed: consumers of this surface do not read anonymously"
    yield from _of_http_alone(catalogue)
    yield from _open_to_fillers(catalogue)


def _of_http_alone(catalogue: Catalogue) -> Iterator[Complaint]:
    for name, surface in catalogue.surfaces.items():
        if surface.hosts and not is_http(surface.url):
            yield ("surfaces", name, "hosts"), "is for surfaces over HTTP: nothing else leads to another host"
        for field in ("credential", "read_credential"):
            if surface.url.startswith("s3:") and getattr(surface, field, None) is not None:
                yield ("surfaces", name, field), "is not for S3, whose credential is in the environment (AWS_…)"


def _open_to_fillers(catalogue: Catalogue) -> Iterator[Complaint]:
    """Caches whose fillers could write to a durable Nix cache. Registries share a host: there names are apart."""
    for name, surface in catalogue.surfaces.items():
        for other, durable in catalogue.surfaces.items():
            if (
                isinstance(surface, MutableSurface)
                and isinstance(durable, DurableSurface)
                and durable.protocol == "nix"
            ):
                place, folder = _place(surface.url)
                other_place, other_folder = _place(durable.url)
                if place == other_place and other_folder.is_relative_to(folder):
                    yield (
                        ("surfaces", name, "url"),
                        f"holds the durable surface {other!r}: who fills this cache could write what is published",
                    )


def _place(url: str) -> tuple[str, PurePosixPath]:
    """Server and folder of a surface, the same for each way to write its URL."""
    if url.startswith("file:"):
        return "file", PurePosixPath(normpath(url.removeprefix("file://").removeprefix("file:")))
    scheme, _, rest = url.partition("://")
    host, _, path = rest.partition("/")
    port = {"http": ":80", "https": ":443"}.get(scheme)
    server = host.lower().removesuffix(port) if port else f"{scheme}://{host}"
    return server, PurePosixPath(normpath("/" + unquote(path).lstrip("/")))


def _sources(catalogue: Catalogue) -> Iterator[Complaint]:
    taken: dict[str, str] = {}
    for name, source in catalogue.sources.items():
        for number, uri in enumerate(source.repositories):
            path = ("sources", name, "repositories", str(number))
            if uri not in catalogue.repositories:
                yield path, f"names {uri}, which is not in repositories"
            if uri in taken:
                yield path, f"names {uri}, which is of the source {taken[uri]!r} already"
            taken.setdefault(uri, name)
        if source.credential is not None and source.credential.user is not None:
            yield ("sources", name, "credential"), NO_BASIC_AUTH
        for uri in source.repository_ids:
            if uri not in source.repositories:
                yield ("sources", name, "repository_ids", uri), "is not in the source's repositories"
        if source.kind is SourceKind.GITLAB and source.steps.workflows:
            yield (
                ("sources", name, "steps", "workflows"),
                "is for GitHub: GitLab does not say which file a pipeline is of",
            )


def _rebuilder(catalogue: Catalogue) -> Iterator[Complaint]:
    found = catalogue.rebuilder
    if found is None:
        return
    builder = catalogue.builders.get(found.builder)
    if builder is None or ArtifactType.NIX not in builder.makes:
        yield ("rebuilder", "builder"), f"{found.builder!r} is no builder in builders that makes nix"
    # No forge is asked about its runs: whoever else could sign for its label would go past the forge.
    for name, key in catalogue.keys.items():
        if found.builder in key.builders and key.builders != (found.builder,):
            yield ("keys", name, "builders"), "speaks for the rebuilder, and may then speak for nobody else"
    mutable = {surface.url for surface in catalogue.surfaces.values() if isinstance(surface, MutableSurface)}
    for number, url in enumerate(found.substituters):
        if url.rstrip("/") in {each.rstrip("/") for each in mutable}:
            yield ("rebuilder", "substituters", str(number)), "is a mutable cache, which would answer for itself"


def _output(catalogue: Catalogue, name: str, output: Output) -> Iterator[Complaint]:
    path = ("outputs", name)
    if output.repository not in catalogue.repositories:
        yield (*path, "repository"), f"{output.repository} is not in repositories"
    cache = catalogue.surfaces.get(output.cache)
    if not isinstance(cache, MutableSurface):
        yield (*path, "cache"), f"{output.cache!r} is not a mutable surface"
    elif cache.protocol is not output.type:
        yield (
            (*path, "cache"),
            f"{output.cache!r} is a {cache.protocol.value} cache and the output is {output.type.value}",
        )
    yield from _built_from(catalogue, path, output)
    if (output.role is Role.ALIAS) != (output.alias_of is not None):
        yield (*path, "alias_of"), "belongs to an alias, and an alias needs it"
    if output.alias_of is not None and output.alias_of not in catalogue.outputs:
        yield (*path, "alias_of"), f"names the output {output.alias_of!r}, which is not catalogued"
    if output.product is not None and output.product not in catalogue.products:
        yield (*path, "product"), f"names the product {output.product!r}, which is not in products"
    if output.publication is not None:
        yield from _publication(catalogue, (*path, "publication"), output, output.publication)


def _built_from(catalogue: Catalogue, path: tuple[str, str], output: Output) -> Iterator[Complaint]:
    for number, other in enumerate(output.built_from):
        if other == path[-1]:
            yield (*path, "built_from", str(number)), "names the output itself"
        elif other not in catalogue.outputs:
            yield (*path, "built_from", str(number)), f"names the output {other!r}, which is not catalogued"


def _publication(
    catalogue: Catalogue, path: tuple[str, ...], output: Output, target: PublicationTarget
) -> Iterator[Complaint]:
    surface = catalogue.surfaces.get(target.surface)
    if surface is None:
        yield (*path, "surface"), f"{target.surface!r} is not in surfaces"
        return
    if not isinstance(surface, DurableSurface):
        yield (*path, "surface"), f"{target.surface!r} is a mutable cache: filling it is never publication"
        return
    if not output.is_candidate or output.audience is Audience.UNDECIDED:
        yield path, "belongs only to a package that is user-facing or cross-org"
    if surface.protocol == "nix" and not surface.authority:
        yield (*path, "surface"), f"{target.surface!r} is a Nix cache that is not declared an authority"
    fitting = {"nix": {"nix", "flakehub"}, "oci": {"oci"}, "bazel": set()}[output.type.value]
    if surface.protocol not in fitting:
        yield (
            (*path, "surface"),
            f"a {output.type.value} output cannot be published to a {surface.protocol} surface",
        )
    yield from released(catalogue, path, output, target, surface)
    if not catalogue.validations_of(output):
        yield path, "needs at least one validation, of the output or of its type"
    if surface.protocol == "oci" and (target.repository is None or not target.tags):
        yield path, "an image needs a repository and at least one immutable tag"
    for field in ("repository", "tags", "moving_tags"):
        if surface.protocol != "oci" and getattr(target, field):
            yield (*path, field), f"belongs to an image, and {target.surface!r} is no registry"
    yield from _observed(catalogue, path, output, target)


def _observed(
    catalogue: Catalogue, path: tuple[str, ...], output: Output, target: PublicationTarget
) -> Iterator[Complaint]:
    if target.way is not Way.OBSERVES and (target.signers or target.attestations):
        yield path, "has signers or attestations, which belong to the way `observes`"
    if target.attestations and not target.signers:
        yield (*path, "attestations"), "are believed only of signers: name them"
    for number, name in enumerate(target.signers):
        if name not in catalogue.keys:
            yield (*path, "signers", str(number)), f"names the key {name!r}, which is not in keys"
        elif output.repository not in catalogue.keys[name].repositories:
            yield (*path, "signers", str(number)), f"names the key {name!r}, which does not speak for its repository"
        elif Purpose.IMAGES not in catalogue.keys[name].for_:
            yield (*path, "signers", str(number)), f"names the key {name!r}, which is not `for` images"
