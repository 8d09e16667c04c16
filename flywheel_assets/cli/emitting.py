"""What a receipt says: from the options of `flywheel receipt` and the CI's variables to a document in its place."""

import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

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
from flywheel_assets.domain.digests import GitRevision, Sha256
from flywheel_assets.domain.errors import InvalidInputError, UsageError
from flywheel_assets.domain.receipts import Receipt, read_statement, receipt_statement
from flywheel_assets.domain.statements import PAYLOAD_TYPE, invalid
from flywheel_assets.domain.triggers import OTHER, TRIGGERS
from flywheel_assets.wiring.builders import builder_signer, git_checkout, write_receipt, write_unsigned


def emit(artifact: Artifact, options: Mapping[str, Any], key: str | None) -> None:
    """Sign the receipt of ``artifact`` and write it, or write what a forge signs. Raises UsageError.

    ``key`` is the private key that the environment held; ``--key`` goes before it.
    """
    unsigned, target = options["unsigned"], options["target"]
    if unsigned and (options["key_file"] or target != "-"):
        raise UsageError("--unsigned leaves signing to somebody else: give neither --key nor --to with it.")
    signer = None if unsigned else builder_signer(options["key_file"], key)
    try:
        made = Receipt(output=options["output"], run=_run(options), artifact=artifact)
    except ValidationError as error:
        raise UsageError(str(invalid(error, "the receipt", "Correct the option that gives it."))) from error
    statement = _readable(made)
    if made.run.source.dirty:
        told = "flywheel: the checkout is dirty (untracked files count): this build will be rejected."
        click.echo(f"{told} Commit, or build and write outside of it.", err=True)
    if signer is None:
        write_unsigned(statement, unsigned)
        return
    # A run has a receipt for each attempt, system and output: none may take another's place in the inbox.
    write_receipt(signer.sign(statement, PAYLOAD_TYPE), target, f"{made.run.key}-{made.output}.json")


def _readable(made: Receipt) -> bytes:
    """Its statement. Raises UsageError for one that intake would not read: here somebody is there to be told."""
    statement = receipt_statement(made)
    try:
        read_statement(statement, "This receipt")
    except InvalidInputError as error:
        said = f"{error.field}: {error.problem.removesuffix('.')}"
        raise UsageError(f"This receipt could not be read: {said}. Make an output of less.") from error
    return statement


def _run(options: Mapping[str, Any]) -> BuilderRun:
    now = datetime.now(UTC)
    source = _source(options)
    event = TriggerEvent(TRIGGERS.get(options["event"], OTHER))
    bootstrap = _bootstrap(options["bootstrap"]) if options["bootstrap"] else None
    is_tag = event is TriggerEvent.PUSH and source.ref.startswith("refs/tags/")
    return BuilderRun(
        key=BuildKey(run=options["run_id"], attempt=options["attempt"], system=options["system"] or _system()),
        builder=options["builder"],
        job=options["job"],
        runner=options["runner"] or runner_of_ci(),
        invocation=_invocation(options, source),
        source=source,
        definition=options["definition"],
        locked_inputs=tuple(_locked(Path(options["checkout"]), lock) for lock in options["locks"]),
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


def _source(options: Mapping[str, Any]) -> Source:
    """From the options and the CI's variables, and from Git for what these do not say."""
    repository = options["repository"] or repository_of_ci()
    ref = options["ref"] or ref_of_ci()
    if not options["revision"]:
        checkout = git_checkout(Path(options["checkout"]))
        return Source(
            repository=repository or checkout.origin,
            revision=checkout.revision,
            ref=ref or checkout.ref,
            dirty=checkout.dirty,
            committed_at=checkout.committed_at,
        )
    if options["clean"] is None:
        raise UsageError("--revision is given without Git being asked: say --clean or --dirty too.")
    try:
        revision = GitRevision(options["revision"])
    except ValueError as error:
        raise UsageError(f"--revision takes a whole commit id, not {options['revision']!r}.") from error
    return Source(
        repository=repository,
        revision=revision,
        ref=ref,
        dirty=not options["clean"],
        committed_at=options["committed"],
    )


def run_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """What identifies the run and its source, by the long names of the options; what is not known is left out."""
    try:
        source = _source(options)
    except ValidationError as error:
        raise UsageError(str(invalid(error, "the run", "Correct the option that gives it."))) from error
    named = {
        "run": options["run_id"],
        "attempt": options["attempt"],
        "job": options["job"],
        "runner": options["runner"] or runner_of_ci(),
        "invocation": _invocation(options, source),
        "event": options["event"],
        "actor": options["actor"],
        "from-fork": options["from_fork"],
        "repository": source.repository,
        "ref": source.ref,
        "revision": str(source.revision),
        "committed": source.committed_at.isoformat() if source.committed_at else None,
        "dirty" if source.dirty else "clean": True,
    }
    return {name: value for name, value in named.items() if value}


def _invocation(options: Mapping[str, Any], source: Source) -> str:
    """The run's URL; the repository's own where only a person says which run it was."""
    on_github = f"{source.repository}/actions/runs/{options['run_id']}" if "GITHUB_RUN_ID" in os.environ else ""
    return options["invocation"] or on_github or source.repository


def runner_of_ci() -> str | None:
    """The runner as GitHub's API names it too: by it, the job is found that a receipt is of."""
    return os.environ.get("RUNNER_NAME") if "GITHUB_RUN_ID" in os.environ else None


def repository_of_ci() -> str:
    """The repository that the CI names: GitHub's server and name, or GitLab's project URL."""
    server, name = os.environ.get("GITHUB_SERVER_URL"), os.environ.get("GITHUB_REPOSITORY")
    return f"{server}/{name}" if server and name else os.environ.get("CI_PROJECT_URL", "")


def ref_of_ci() -> str:
    """The full ref that the CI names: GitHub's, or GitLab's tag or branch, which come without their prefix."""
    if tag := os.environ.get("CI_COMMIT_TAG"):
        return f"refs/tags/{tag}"
    if branch := os.environ.get("CI_COMMIT_BRANCH"):
        return f"refs/heads/{branch}"
    return os.environ.get("GITHUB_REF", "")


def _locked(checkout: Path, lock: Path) -> LockedInput:
    try:
        return LockedInput(name=str(lock), digest=Sha256.of((checkout / lock).read_bytes()))
    except FileNotFoundError as error:
        remedy = "Name a file relative to the checkout (--source)."
        if lock.name == "flake.lock":
            remedy = "A flake without inputs has none: give --lock flake.nix, which then says all that there is."
        raise UsageError(f"--lock {lock} is not there in the checkout. {remedy}") from error


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
