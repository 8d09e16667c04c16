"""The spellings that names may have, so that no string out of a receipt can act as a path or a URL."""

import re
from typing import Annotated

from pydantic import AfterValidator, StringConstraints, TypeAdapter, ValidationError

STORE_PATH = re.compile(r"/nix/store/[0-9a-df-np-sv-z]{32}-[0-9a-zA-Z+\-._?=]{1,211}")

OutputName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
"""A catalogued output: also an asset key part and a file name."""

BuilderLabel = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
"""A runner label."""

StorePath = Annotated[str, StringConstraints(pattern=rf"^{STORE_PATH.pattern}$", max_length=256)]
"""A Nix store path (Nix manual, "Store path")."""

RepositoryUri = Annotated[
    str, StringConstraints(pattern=r"^https://[a-z0-9.-]+(:\d+)?(/[A-Za-z0-9._~-]+)+$", max_length=300)
]
"""A source repository by its https URI without a trailing ``.git``."""

OciRepository = Annotated[
    str,
    StringConstraints(
        pattern=r"^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$", max_length=255
    ),
]
"""A repository name (OCI distribution-spec, "Pulling manifests")."""

OciTag = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$")]

Platform = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+/[a-z0-9_]+(/[a-z0-9]+)?$", max_length=60)]
"""``os/architecture[/variant]`` (OCI image-spec, image index)."""

FlakeName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}/[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")
]
"""``ORG/FLAKE`` on FlakeHub."""

SemanticVersion = Annotated[
    str,
    StringConstraints(
        pattern=r"^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$", max_length=200
    ),
]
"""A version without a leading ``v`` (Semantic Versioning 2.0.0)."""

WorkflowFile = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}\.ya?ml$")]
"""The file name of a workflow below ``.github/workflows``."""


def _no_revision(ref: str) -> str:
    if re.fullmatch(r"[0-9a-f]{40}", ref):
        raise ValueError("is a revision, and a workflow is started on a branch or tag")
    if any(part in f"/{ref}/" for part in ("..", "//", "/.", "./", ".lock/", "@{")):
        raise ValueError("is no branch or tag that Git would take")
    return ref


WorkflowRef = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_./+=@#{}-]*$", max_length=200),
    AfterValidator(_no_revision),
]
"""A branch or tag that holds a workflow, as ``main`` or ``refs/heads/main`` (git-check-ref-format)."""

_ATTRIBUTE = re.compile(r"[A-Za-z_][A-Za-z0-9_+-]*(\.[A-Za-z0-9_+-]+)*")


def is_flake_attribute(text: str) -> bool:
    """Whether it can be given to Nix behind a ``#`` and in a URL as it is: ``packages.x86_64-linux.default``."""
    return _ATTRIBUTE.fullmatch(text) is not None


# Control characters, and the format characters that hide text or turn it around.
_UNSEEN = "\x00-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"


def _relative(path: str) -> str:
    if path.startswith("/") or {".", "..", ""} & set(path.split("/")) or "\\" in path:
        raise ValueError("is not a plain relative path")
    return path


FilePath = Annotated[str, StringConstraints(pattern=f"^[^{_UNSEEN}]+$", max_length=1024), AfterValidator(_relative)]
"""A relative path without dot segments."""

Line = Annotated[str, StringConstraints(pattern=f"^[^{_UNSEEN}]*$", max_length=500)]
"""One line of text without control and format characters: none that could paint a terminal or turn text around."""


_VERSION: TypeAdapter[str] = TypeAdapter(SemanticVersion)


def version_of_tag(ref: str) -> str | None:
    """The semantic version that a ref names: ``refs/tags/v1.2.3`` or ``refs/tags/1.2.3``; None for all others."""
    tag = ref.removeprefix("refs/tags/")
    try:
        return _VERSION.validate_python(tag.removeprefix("v")) if tag != ref else None
    except ValidationError:
        return None


def store_path_hash(path: str) -> str:
    """The 32 characters that name ``path`` in a binary cache."""
    return path.removeprefix("/nix/store/")[:32]


def store_path_base(path: str) -> str:
    """``<hash>-<name>``, the spelling of references in a narinfo."""
    return path.removeprefix("/nix/store/")
