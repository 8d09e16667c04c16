"""`flywheel receipt nix|oci|bazel`: what a builder calls after a build. It knows nothing of publication."""

import os
import platform
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click
from pydantic import ValidationError

from flywheel_assets.domain.artifacts import Artifact
from flywheel_assets.domain.builds import (
    Bootstrap,
    BuilderRun,
    BuildKey,
    Dependency,
    LockedInput,
    Source,
    Trigger,
    TriggerEvent,
    Validation,
)
from flywheel_assets.domain.digests import Sha256
from flywheel_assets.domain.errors import UsageError
from flywheel_assets.domain.receipts import Receipt, receipt_statement
from flywheel_assets.domain.statements import PAYLOAD_TYPE, invalid

F = TypeVar("F", bound=Callable[..., Any])

# What GitHub and GitLab call the event that started a run, in the receipt's words.
EVENTS = {
    "push": TriggerEvent.PUSH,
    "tag": TriggerEvent.TAG,
    "schedule": TriggerEvent.SCHEDULE,
    "manual": TriggerEvent.MANUAL,
    "web": TriggerEvent.MANUAL,
    "workflow_dispatch": TriggerEvent.MANUAL,
    "pull_request": TriggerEvent.PULL_REQUEST,
    "pull_request_target": TriggerEvent.PULL_REQUEST,
    "merge_request_event": TriggerEvent.PULL_REQUEST,
    "external_pull_request_event": TriggerEvent.PULL_REQUEST,
    "merge_group": TriggerEvent.PULL_REQUEST,
    "release": TriggerEvent.TAG,
    "api": TriggerEvent.MANUAL,
    "trigger": TriggerEvent.MANUAL,
    "pipeline": TriggerEvent.MANUAL,
    "parent_pipeline": TriggerEvent.MANUAL,
    "repository_dispatch": TriggerEvent.MANUAL,
    "workflow_run": TriggerEvent.MANUAL,
}

_OPTIONS = (
    click.option("--output", required=True, help="The catalogued output."),
    click.option("--builder", required=True, envvar="FLYWHEEL_BUILDER", help="The runner label."),
    click.option("--system", default=None, help="System of the build; default: this machine's, as Nix writes it."),
    click.option("--definition", default=None, help="Flake attribute, Containerfile or label that was built."),
    click.option("--source", "checkout", default=".", show_default=True, help="The Git checkout that was built."),
    click.option("--repository", default=None, help="Its https URI; default: from the CI's variables or origin."),
    click.option("--ref", default=None, help="Full Git ref; default: from the CI's variables or the branch."),
    click.option("--run", "run_id", required=True, envvar=["GITHUB_RUN_ID", "CI_PIPELINE_ID"], help="The run's id."),
    click.option("--attempt", default=1, envvar="GITHUB_RUN_ATTEMPT", show_default=True),
    click.option("--invocation", default=None, envvar="CI_PIPELINE_URL", help="URL of the run."),
    click.option(
        "--event",
        required=True,
        envvar=["GITHUB_EVENT_NAME", "CI_PIPELINE_SOURCE"],
        type=click.Choice(sorted(EVENTS)),
        help="What started the run.",
    ),
    click.option("--actor", required=True, envvar=["GITHUB_ACTOR", "GITLAB_USER_LOGIN"], help="Who started it."),
    click.option("--from-fork", is_flag=True, help="The run was started from a fork."),
    click.option("--lock", "locks", multiple=True, type=click.Path(path_type=Path), help="A lock file; repeat."),
    click.option("--validation", "validations", multiple=True, help="NAME=PASSED|WARNED|FAILED; repeat."),
    click.option("--bootstrap", default=None, help="tool=nix,version=2.24.10,by=determinate-nix-action,at=<time>"),
    click.option("--dependency", "dependencies", multiple=True, help="OUTPUT=/nix/store/…@sha256:<NAR hash>; repeat."),
    click.option(
        "--started", default=None, help="When the run started (RFC 3339); default: the bootstrap's time, or now."
    ),
    click.option("--finished", default=None, help="When it finished (RFC 3339); default: now."),
    click.option("--key", "key_file", default=None, help="Private key, PKCS #8 PEM; or FLYWHEEL_SIGNING_KEY holds it."),
    click.option("--to", "target", default="-", show_default=True, help="A file, an inbox folder, or - for stdout."),
)


def _common(command: F) -> F:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.group(help="What a builder calls after a build: write a signed receipt (docs/receipts.md).")
def receipt() -> None:
    """Commands for builders."""


@receipt.command(help="A Nix build: PATH is its store path or result link; the closure comes from the local store.")
@click.argument("path")
@_common
def nix(path: str, **options: Any) -> None:
    """Describe a store path with its whole closure."""
    from flywheel_assets.wiring import nix_closure

    _emit(nix_closure(path), **options)


@receipt.command(help="An image: LAYOUT is an OCI image layout, REFERENCE a tag or digest in it.")
@click.argument("layout", type=click.Path(path_type=Path))
@click.argument("reference")
@click.option("--image-repository", required=True, help="Repository in staging, such as org/name.")
@_common
def oci(layout: Path, reference: str, image_repository: str, **options: Any) -> None:
    """Describe an image with the digest of each platform."""
    from flywheel_assets.wiring import oci_image

    image = oci_image(layout, reference, image_repository)
    several = len(image.platforms) > 1
    own = "multi-platform" if several else next(iter(image.platforms)).replace("/", "-")
    options["system"] = options["system"] or own
    _emit(image, **options)


@receipt.command(help="A Bazel target: LABEL in an execution log (--execution_log_json_file).")
@click.argument("label")
@click.option("--log", required=True, type=click.Path(path_type=Path), help="The execution log.")
@click.option("--mnemonic", default=None, help="Chooses between the label's actions.")
@click.option("--output-file", default=None, help="Chooses the action that makes this file.")
@click.option("--disk-cache", default=None, type=click.Path(path_type=Path), help="Knows the action before Bazel 7.")
@_common
def bazel(
    label: str, log: Path, mnemonic: str | None, output_file: str | None, disk_cache: Path | None, **options: Any
) -> None:
    """Describe the outputs of one action."""
    from flywheel_assets.wiring import bazel_outputs

    _emit(bazel_outputs(log, label, mnemonic=mnemonic, output=output_file, disk_cache=disk_cache), **options)


def _emit(artifact: Artifact, **options: Any) -> None:
    from flywheel_assets.wiring import builder_signer, write_receipt

    signer = builder_signer(options["key_file"], os.environ.get("FLYWHEEL_SIGNING_KEY"))
    try:
        made = Receipt(output=options["output"], run=_run(options), artifact=artifact)
    except ValidationError as error:
        raise UsageError(str(invalid(error, "the receipt", "Correct the option that gives it."))) from error
    envelope = signer.sign(receipt_statement(made), PAYLOAD_TYPE)
    write_receipt(envelope, options["target"], f"{made.run.key.run}-{made.output}.json")


def _run(options: dict[str, Any]) -> BuilderRun:
    from flywheel_assets.wiring import git_checkout

    checkout, now = git_checkout(Path(options["checkout"])), datetime.now(UTC)
    repository = options["repository"] or _repository() or checkout.origin
    ref = options["ref"] or _ref() or checkout.ref
    event = EVENTS[options["event"]]
    bootstrap = _bootstrap(options["bootstrap"]) if options["bootstrap"] else None
    is_tag = event is TriggerEvent.PUSH and ref.startswith("refs/tags/")
    return BuilderRun(
        key=BuildKey(run=options["run_id"], attempt=options["attempt"], system=options["system"] or _system()),
        builder=options["builder"],
        invocation=options["invocation"] or f"{repository}/actions/runs/{options['run_id']}",
        source=Source(
            repository=repository,
            revision=checkout.revision,
            ref=ref,
            dirty=checkout.dirty,
            committed_at=checkout.committed_at,
        ),
        definition=options["definition"],
        locked_inputs=tuple(
            LockedInput(name=lock.name, digest=Sha256.of(lock.read_bytes())) for lock in options["locks"]
        ),
        trigger=Trigger(
            event=TriggerEvent.TAG if is_tag else event, actor=options["actor"], from_fork=options["from_fork"]
        ),
        # A run whose start nobody states began at the latest when its toolchain was there.
        started_at=options["started"] or (bootstrap.finished_at if bootstrap else now),
        finished_at=options["finished"] or now,
        bootstrap=bootstrap,
        validations=tuple(_validation(text) for text in options["validations"]),
        dependencies=tuple(_dependency(text) for text in options["dependencies"]),
    )


def _repository() -> str:
    """The repository that the CI names: GitHub's server and name, or GitLab's project URL."""
    server, name = os.environ.get("GITHUB_SERVER_URL"), os.environ.get("GITHUB_REPOSITORY")
    return f"{server}/{name}" if server and name else os.environ.get("CI_PROJECT_URL", "")


def _ref() -> str:
    """The full ref that the CI names: GitHub's, or GitLab's tag or branch, which come without their prefix."""
    if tag := os.environ.get("CI_COMMIT_TAG"):
        return f"refs/tags/{tag}"
    if branch := os.environ.get("CI_COMMIT_BRANCH"):
        return f"refs/heads/{branch}"
    return os.environ.get("GITHUB_REF", "")


def _system() -> str:
    """As Nix writes it."""
    return f"{platform.machine()}-{platform.system().lower()}"


def _bootstrap(text: str) -> Bootstrap:
    fields = dict(part.partition("=")[::2] for part in text.split(","))
    if set(fields) != {"tool", "version", "by", "at"}:
        raise UsageError("--bootstrap takes tool=…,version=…,by=…,at=<RFC 3339 time>, all four.")
    return Bootstrap.model_validate(
        {
            "tool": fields["tool"],
            "verified_version": fields["version"],
            "installed_by": fields["by"],
            "finished_at": fields["at"],
        }
    )


def _validation(text: str) -> Validation:
    name, separator, result = text.rpartition("=")
    if not separator:
        raise UsageError(f"--validation takes NAME=PASSED, NAME=WARNED or NAME=FAILED, not {text!r}.")
    return Validation.model_validate({"name": name, "result": result.upper()})


def _dependency(text: str) -> Dependency:
    output, separator, rest = text.partition("=")
    path, at, digest = rest.partition("@")
    if not (separator and at):
        raise UsageError(f"--dependency takes OUTPUT=/nix/store/…@sha256:<hex>, not {text!r}.")
    return Dependency.model_validate({"output": output, "store_path": path, "digest": digest})
