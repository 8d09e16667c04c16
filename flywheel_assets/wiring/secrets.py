"""From what the catalogue says of a credential to the credential itself: secrets lie in the environment or in files."""

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from flywheel_assets.adapters.http.credentials import ANONYMOUS, Credentials, Secret
from flywheel_assets.catalog.models import Catalogue, Credential
from flywheel_assets.domain.errors import UnauthorisedError

MAX_SECRET_BYTES = 64 * 1024
SECRETS = frozenset({"bearer", "password", "private_key"})


def credentials(
    home: Path, declared: Credential | None, surface: str, environment: Mapping[str, str] = os.environ
) -> Credentials:
    """What ``surface`` is shown. A secret that is missing is an UnauthorisedError when it is needed, not before."""
    if declared is None:
        return ANONYMOUS

    def secret(reference: str | None) -> Secret | None:
        return Secret(secret_source(home, reference, surface, environment)) if reference else None

    def file(url: str | None) -> Path | None:
        return home / url.removeprefix("file://").removeprefix("file:") if url else None

    return Credentials(
        bearer=secret(declared.bearer),
        user=declared.user or "",
        password=secret(declared.password),
        netrc=file(declared.netrc),
        certificate=file(declared.certificate),
        certificate_key=file(declared.certificate_key),
        ca=file(declared.ca),
    )


def unset(catalogue: Catalogue, environment: Mapping[str, str] = os.environ) -> Iterator[str]:
    """A sentence for each secret that is to be in the environment and is not. Files are looked at when they are needed.

    Without one nothing is wrong with the catalogue: whoever checks it need not be who runs it.
    """
    for path, reference in _references(catalogue.model_dump(mode="json")):
        name = reference.removeprefix("env:")
        if name != reference and not environment.get(name):
            yield f"{name} is not set here, and holds the secret of {path}."


def _references(node: object, path: str = "") -> Iterator[tuple[str, str]]:
    """What refers to a secret, with the entry that it belongs to."""
    for key, value in node.items() if isinstance(node, dict) else ():
        if key in SECRETS and isinstance(value, str):
            yield path, value
        else:
            yield from _references(value, f"{path}.{key}".removeprefix("."))


def secret_source(
    home: Path, reference: str, surface: str, environment: Mapping[str, str] = os.environ
) -> Callable[[], str]:
    """What fetches a secret that the catalogue refers to; UnauthorisedError when it is not there."""
    kind, _, name = reference.partition(":")

    def from_environment() -> str:
        found = environment.get(name, "")
        if not found:
            raise UnauthorisedError(f"The secret of {surface} is to be in {name}, which is not set. Set it.")
        return found

    def from_file() -> str:
        path = home / name.removeprefix("//")
        try:
            with path.open("rb") as stream:
                found = stream.read(MAX_SECRET_BYTES).decode("ascii", "replace").strip()
        except OSError as error:
            raise UnauthorisedError(
                f"The secret of {surface} is to be in {path}, which cannot be read: {error.strerror}. Put it there."
            ) from error
        if not found:
            raise UnauthorisedError(f"The secret of {surface} is to be in {path}, which is empty. Put it there.")
        return found

    return from_environment if kind == "env" else from_file
