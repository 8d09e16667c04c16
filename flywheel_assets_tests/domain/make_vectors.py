"""Writes vectors/receipts: good receipts, and each of them with one thing wrong.

``python -m flywheel_assets_tests.domain.make_vectors``
"""

import json
from collections.abc import Callable
from typing import Any

from flywheel_assets_tests.domain.cases import VECTORS, statement
from flywheel_assets_tests.gate.cases import KINDS

Json = dict[str, Any]


def definition(s: Json) -> Json:
    found: Json = s["predicate"]["buildDefinition"]
    return found


def details(s: Json) -> Json:
    found: Json = s["predicate"]["runDetails"]
    return found


def put(where: Callable[[Json], Any], key: Any, value: Any) -> Callable[[Json], None]:
    def apply(s: Json) -> None:
        where(s)[key] = value

    return apply


def add(where: Callable[[Json], Any], value: Any) -> Callable[[Json], None]:
    return lambda s: where(s).append(value)


def external(s: Json) -> Any:
    return definition(s)["externalParameters"]


def described(s: Json) -> Any:
    return definition(s)["internalParameters"]["artifact"]


def resolved(s: Json) -> Any:
    return definition(s)["resolvedDependencies"]


def byproducts(s: Json) -> Any:
    return details(s)["byproducts"]


def source(s: Json) -> Any:
    return resolved(s)[0]


def member(s: Json) -> Any:
    return next(item for item in byproducts(s) if item["name"].startswith("/nix/store/"))


def platform(s: Json) -> Any:
    return next(item for item in byproducts(s) if item["name"].startswith("platform:"))


def _drop_source(s: Json) -> None:
    del resolved(s)[0]


def _path(path: str) -> Callable[[Json], None]:
    """A Bazel file of another path, in the subject and in the sizes."""

    def apply(s: Json) -> None:
        sizes = definition(s)["internalParameters"]["artifact"]["sizes"]
        sizes[path] = sizes.pop(s["subject"][0]["name"])
        s["subject"][0]["name"] = path

    return apply


def _store_path(path: str) -> Callable[[Json], None]:
    def apply(s: Json) -> None:
        member(s)["name"] = s["subject"][0]["name"] = path

    return apply


def _without_root(s: Json) -> None:
    byproducts(s).remove(member(s))


OTHER = "/nix/store/00000000000000000000000000000000-other"
STORE = "/nix/store/0000000000000000000000000000000"
ZEROS = {"sha256": "0" * 64}
FAILED = {"name": "validation:nix build", "annotations": {"result": "FAILED"}}
TAMPERED: dict[str, tuple[str, Callable[[Json], None]]] = {
    "wrong-type": ("nix", put(lambda s: s, "_type", "https://in-toto.io/Statement/v0.1")),
    "wrong-predicate-type": ("nix", put(lambda s: s, "predicateType", "https://slsa.dev/provenance/v0.2")),
    "wrong-build-type": ("nix", put(definition, "buildType", "urn:flywheel-assets:build-type:npm:v1")),
    "unknown-field": ("nix", put(lambda s: s, "publishTo", "ghcr.io")),
    "unknown-field-in-predicate": ("nix", put(details, "publishTo", "ghcr.io")),
    "unknown-field-of-image": ("oci", put(described, "tag", "latest")),
    "no-subject": ("nix", put(lambda s: s, "subject", [])),
    "output-traversal": ("nix", put(external, "output", "../../etc/passwd")),
    "output-absolute": ("nix", put(external, "output", "/etc/passwd")),
    "file-path-traversal": ("bazel", _path("../../etc/passwd")),
    "file-path-inner-traversal": ("bazel", _path("lint/../../passwd")),
    "file-path-absolute": ("bazel", _path("/etc/passwd")),
    "file-path-backslash": ("bazel", _path("lint\\..\\passwd")),
    "file-path-nul": ("bazel", _path("lint\x00")),
    "file-without-size": ("bazel", put(described, "sizes", {})),
    "file-twice": ("bazel", lambda s: s["subject"].append(s["subject"][0])),
    "action-is-no-digest": (
        "bazel",
        put(described, "action", "latest"),
    ),
    "store-path-traversal": ("nix", _store_path("/nix/store/../../etc/passwd")),
    "store-path-slash": ("nix", _store_path(f"{STORE}0-x/../../etc")),
    "store-path-short-hash": ("nix", _store_path(f"{STORE}-x")),
    "reference-traversal": ("nix", put(lambda s: member(s)["annotations"], "references", ["/nix/store/../x"])),
    "nar-size-zero": ("nix", put(lambda s: member(s)["annotations"], "narSize", 0)),
    "nar-size-negative": ("nix", put(lambda s: member(s)["annotations"], "narSize", -1)),
    "nar-size-huge": ("nix", put(lambda s: member(s)["annotations"], "narSize", 2**53)),
    "nar-hash-missing": ("nix", lambda s: member(s).pop("digest")),
    "closure-without-root": ("nix", _without_root),
    "subject-is-another-path": ("nix", put(lambda s: s["subject"][0], "name", OTHER)),
    "subject-is-another-digest": ("nix", put(lambda s: s["subject"][0], "digest", ZEROS)),
    "subject-has-another-digest-too": ("nix", put(lambda s: s["subject"][0]["digest"], "sha512", "0" * 128)),
    "subject-more-than-the-root": ("nix", add(lambda s: s["subject"], {"name": OTHER, "digest": ZEROS})),
    "subject-more-than-the-image": ("oci", add(lambda s: s["subject"], {"name": "x", "digest": ZEROS})),
    "invocation-script": ("nix", put(lambda s: details(s)["metadata"], "invocationId", "javascript:alert(1)")),
    "invocation-file": ("nix", put(lambda s: details(s)["metadata"], "invocationId", "file:///etc/passwd")),
    "invocation-http": ("nix", put(lambda s: details(s)["metadata"], "invocationId", "http://github.com/x")),
    "invocation-with-newline": ("nix", put(lambda s: details(s)["metadata"], "invocationId", "https://x.example/\nx")),
    "builder-elsewhere": ("nix", put(lambda s: details(s)["builder"], "id", "https://evil.example/builder")),
    "builder-traversal": ("nix", put(lambda s: details(s)["builder"], "id", "urn:flywheel-assets:builder:../x")),
    "run-traversal": ("nix", put(lambda s: definition(s)["internalParameters"]["run"], "id", "../1")),
    "run-with-dot": ("nix", put(lambda s: definition(s)["internalParameters"]["run"], "id", "1.2")),
    "attempt-zero": ("nix", put(lambda s: definition(s)["internalParameters"]["run"], "attempt", 0)),
    "system-traversal": ("nix", put(lambda s: definition(s)["internalParameters"]["run"], "system", "../x")),
    "source-missing": ("nix", _drop_source),
    "source-twice": ("nix", add(resolved, {"name": "source", "digest": {"gitCommit": "b" * 40}})),
    "source-scheme": ("nix", put(external, "repository", "ssh://git@github.com/example/tools")),
    "revision-is-a-branch": ("nix", put(lambda s: source(s)["digest"], "gitCommit", "main")),
    "revision-is-short": ("nix", put(lambda s: source(s)["digest"], "gitCommit", "a" * 12)),
    "lock-twice": ("nix", add(resolved, {"name": "lock:flake.lock", "digest": ZEROS})),
    "dependency-twice": ("nix", add(resolved, {"name": "output:library", "uri": f"nix:{OTHER}", "digest": ZEROS})),
    "dependency-not-in-the-store": ("nix", put(lambda s: resolved(s)[2], "uri", "nix:/etc/passwd")),
    "validation-twice": ("nix", add(byproducts, FAILED)),
    "validation-unknown-result": ("nix", put(lambda s: byproducts(s)[0], "annotations", {"result": "GREEN"})),
    "bootstrap-twice": ("nix", add(byproducts, {"name": "bootstrap", "annotations": {}})),
    "bootstrap-empty": ("nix", put(lambda s: byproducts(s)[1], "annotations", {})),
    "member-twice": ("nix", lambda s: byproducts(s).append(member(s))),
    "platform-twice": ("oci", lambda s: byproducts(s).append({**platform(s), "digest": ZEROS})),
    "platform-traversal": ("oci", put(platform, "name", "platform:../x")),
    "no-platform": ("oci", lambda s: byproducts(s).clear()),
    "image-repository-traversal": ("oci", put(lambda s: s["subject"][0], "name", "example/../image")),
    "started-without-zone": ("nix", put(lambda s: details(s)["metadata"], "startedOn", "2026-10-01T12:00:00")),
    "line-with-escape": ("nix", put(external, "ref", "\x1b[31mmain")),
}


def documents() -> dict[str, Json]:
    """Every vector by its file's name."""
    found = {f"good-{kind}": statement(kind) for kind in KINDS}
    for name, (kind, tamper) in TAMPERED.items():
        found[name] = statement(kind)
        tamper(found[name])
    return found


if __name__ == "__main__":
    for name, document in documents().items():
        (VECTORS / f"{name}.json").write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", "utf-8")
