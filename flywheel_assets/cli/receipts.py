"""`flywheel receipt nix|oci|bazel|hook|run`: what a builder calls. It knows nothing of publication.

Here are the commands and their options alone, so that a hook that finds nothing to do ends at once: what a receipt
says is put together in ``emitting``, what the hook is told in ``hooks``.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from flywheel_assets.domain.triggers import OTHERS, TRIGGERS

F = TypeVar("F", bound=Callable[..., Any])

# What identifies a run and its source; `flywheel receipt run` writes it down for a hook that is run by somebody else,
# who does not see the job's variables and should not run Git on the job's files.
_RUN_OPTIONS = (
    click.option("--run", "run_id", required=True, envvar=["GITHUB_RUN_ID", "CI_PIPELINE_ID"], help="The run's id."),
    click.option("--attempt", type=int, default=1, envvar="GITHUB_RUN_ATTEMPT", show_default=True),
    click.option("--job", default=None, envvar="CI_JOB_ID", help="The job's number, where the job can know it."),
    click.option("--runner", default=None, help="The runner's own name; default: from GitHub's variables."),
    click.option("--invocation", default=None, envvar="CI_PIPELINE_URL", help="URL of the run."),
    click.option(
        "--event",
        required=True,
        envvar=["GITHUB_EVENT_NAME", "CI_PIPELINE_SOURCE"],
        type=click.Choice(sorted({*TRIGGERS, *OTHERS})),
        help="What started the run.",
    ),
    click.option("--actor", required=True, envvar=["GITHUB_ACTOR", "GITLAB_USER_LOGIN"], help="Who started it."),
    click.option("--from-fork", is_flag=True, help="The run was started from a fork."),
    click.option("--repository", default=None, help="Its https URI; default: from the CI's variables or origin."),
    click.option("--ref", default=None, help="Full Git ref; default: from the CI's variables or the branch."),
    click.option("--source", "checkout", default=".", show_default=True, help="The Git checkout that was built."),
    click.option("--revision", default=None, help="Its commit; without it Git is asked, and for the next two."),
    click.option("--committed", default=None, help="When the revision was committed (RFC 3339)."),
    click.option("--clean/--dirty", "clean", default=None, help="Whether the checkout is what the revision says."),
)

_OPTIONS = (
    click.option("--output", required=True, help="The catalogued output."),
    click.option("--builder", required=True, envvar="FLYWHEEL_BUILDER", help="The runner label."),
    click.option("--system", default=None, help="System of the build; default: this machine's, as Nix writes it."),
    click.option("--definition", default=None, help="Flake attribute, Containerfile or label that was built."),
    *_RUN_OPTIONS,
    click.option(
        "--lock",
        "locks",
        multiple=True,
        type=click.Path(path_type=Path),
        help="A lock file, relative to the checkout; repeat.",
    ),
    click.option("--validation", "validations", multiple=True, help="NAME=PASSED|WARNED|FAILED; repeat."),
    click.option("--bootstrap", default=None, help="tool=nix,version=2.24.10,by=determinate-nix-action,at=<time>"),
    click.option("--dependency", "dependencies", multiple=True, help="OUTPUT=/nix/store/…@sha256:<NAR hash>; repeat."),
    click.option(
        "--started", default=None, help="When the run started (RFC 3339); default: the bootstrap's time, or now."
    ),
    click.option("--finished", default=None, help="When it finished (RFC 3339); default: now."),
    click.option(
        "--key",
        "key_file",
        default=None,
        help="File of the private key, PKCS #8 PEM; FLYWHEEL_SIGNING_KEY holds one itself.",
    ),
    click.option("--to", "target", default="-", show_default=True, help="An inbox folder, a file called *.json, or -."),
    click.option(
        "--unsigned",
        default=None,
        type=click.Path(path_type=Path),
        help="Sign nothing: write statement, predicate and subjects to this folder, for the forge to attest.",
    ),
)


def _taking(*options: Callable[[F], F]) -> Callable[[F], F]:
    def decorate(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


@click.group(help="What a builder calls after a build: write a signed receipt (docs/receipts.md).")
@click.pass_context
def receipt(ctx: click.Context) -> None:
    """Commands for builders. The key leaves the environment first: Git, Nix and what these start have no use for it."""
    ctx.obj = os.environ.pop("FLYWHEEL_SIGNING_KEY", None)


@receipt.command(help="A Nix build: PATH is its store path or result link; the closure comes from the local store.")
@click.argument("path")
@_taking(*_OPTIONS)
@click.pass_obj
def nix(key: str | None, /, path: str, **options: Any) -> None:
    """Describe a store path with its whole closure."""
    from flywheel_assets.cli.emitting import emit
    from flywheel_assets.wiring.builders import nix_closure

    emit(nix_closure(path), options, key)


@receipt.command(
    help="An image: IMAGE is host/name:tag or host/name@sha256:…, or a layout's folder and REFERENCE in it."
)
@click.argument("image")
@click.argument("reference", required=False)
@click.option("--image-repository", help="Repository in staging, such as org/name; default: the name in a registry.")
@click.option("--netrc", type=click.Path(path_type=Path), help="Credentials for a registry that not all may read.")
@_taking(*_OPTIONS)
@click.pass_obj
def oci(
    key: str | None,
    /,
    image: str,
    reference: str | None,
    image_repository: str | None,
    netrc: Path | None,
    **options: Any,
) -> None:
    """Describe an image with the digest of each platform."""
    from flywheel_assets.cli.emitting import emit
    from flywheel_assets.wiring.builders import oci_image

    described = oci_image(image, reference, image_repository, netrc)
    several = len(described.platforms) > 1
    own = "multi-platform" if several else next(iter(described.platforms)).replace("/", "-")
    emit(described, {**options, "system": options["system"] or own}, key)


@receipt.command(help="A Bazel target: LABEL in an execution log (--execution_log_json_file).")
@click.argument("label")
@click.option("--log", type=click.Path(path_type=Path), help="The execution log: actions and their digests.")
@click.option(
    "--events", type=click.Path(path_type=Path), help="Build events (--build_event_json_file): outputs of the target."
)
@click.option("--mnemonic", default=None, help="Chooses between the label's actions.")
@click.option("--output-file", default=None, help="Chooses the action that makes this file.")
@click.option("--disk-cache", default=None, type=click.Path(path_type=Path), help="Knows the action before Bazel 7.")
@_taking(*_OPTIONS)
@click.pass_obj
def bazel(
    key: str | None,
    /,
    label: str,
    log: Path | None,
    events: Path | None,
    mnemonic: str | None,
    output_file: str | None,
    disk_cache: Path | None,
    **options: Any,
) -> None:
    """Describe the outputs of one action."""
    from flywheel_assets.cli.emitting import emit
    from flywheel_assets.wiring.builders import bazel_outputs

    made = bazel_outputs(log, label, events=events, mnemonic=mnemonic, output=output_file, disk_cache=disk_cache)
    emit(made, options, key)


@receipt.command(help="Print what identifies this run and its source, as JSON, for a hook that sees neither.")
@_taking(*_RUN_OPTIONS)
def run(**options: Any) -> None:
    """Write down the run's options."""
    import json

    from flywheel_assets.cli.emitting import run_options

    click.echo(json.dumps(run_options(options), indent=2, sort_keys=True))


@receipt.command(help="Nix's post-build-hook: a receipt for each output path that the configuration names.")
@click.option(
    "--config",
    required=True,
    envvar="FLYWHEEL_RECEIPTS",
    type=click.Path(path_type=Path),
    help="TOML: which outputs, and what their receipts say (docs/receipts.md).",
)
@click.pass_obj
def hook(key: str | None, /, config: Path) -> None:
    """Emit what the build that Nix has just ended calls for; nothing when no output is named."""
    from flywheel_assets.cli.hooks import wanted

    for path, arguments in wanted(config, os.environ):
        nix.main([path, *arguments], standalone_mode=False, obj=key)
