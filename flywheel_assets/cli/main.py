"""The entry point: which command lives where, and what an error becomes.

Exit codes: 0 done; 1 rejected, or verification failed; 2 usage or configuration error; 130 interrupted.
"""

import sys
from importlib import import_module

import click

from flywheel_assets import __version__
from flywheel_assets.domain.errors import (
    CatalogError,
    EvidenceError,
    FlywheelError,
    RateLimitedError,
    UnauthorisedError,
    UnreadableError,
    UsageError,
)

DONE, REJECTED, MISUSED, UNTOLD, INTERRUPTED = 0, 1, 2, 3, 130

# Name: (where it lives, its help line). The line stands here so that `flywheel --help` imports none of them.
COMMANDS = {
    "run": ("run:run", "Pick up builds, gate and publish them, print the report, then serve the UI."),
    "report": ("looking:report", "Every build that arrived: verdict, reason, where published."),
    "why-not": ("excusing:why_not", "Why a build is not published, what would change that, who acts."),
    "page": ("excusing:page", "The same of all outputs, as a folder of static HTML."),
    "intake": ("intake:intake", "What could not be read or routed: list, explain, retry, dismiss."),
    "approve": ("approving:approve", "Approve one build for its surface, signed with your key."),
    "sign": ("approving:sign", "Sign a decision that was written elsewhere."),
    "hold": ("deciding:hold", "Stop an output, a builder's builds or everything, at once."),
    "revoke": ("deciding:revoke", "Take a decision back."),
    "meet": ("deciding:meet", "Say that a gate of a change of release authority is met."),
    "decisions": ("deciding:decisions", "What people decided, and whether it counts."),
    "withdraw": ("withdrawing:withdraw", "Take a published artifact back, for ever."),
    "quarantine": ("withdrawing:quarantine", "Distrust a signer or a run, and list what is public of it."),
    "register": ("registering:register_", "Who answers for everything that is public, and why it may be."),
    "replay": ("replaying:replay_", "Make past verdicts again from their evidence, and compare them."),
    "what-if": ("replaying:what_if", "What would newly pass or fail under another catalogue, or at a later time."),
    "promote": ("promoting:promote", "Publish one build, if the gate lets it."),
    "verify": ("verifying:verify", "Verify a published artifact offline, with the public key alone."),
    "receipt": ("receipts:receipt", "What a builder calls after a build: write a signed receipt."),
    "catalog": ("catalogue:catalog", "Check a catalogue, or print its JSON Schema."),
}


class LazyGroup(click.Group):
    """Imports a command's module only when that command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the table."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command itself."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        try:
            command: click.Command = getattr(import_module(f"flywheel_assets.cli.{module}"), name)
        except ModuleNotFoundError as error:
            if (error.name or "").startswith("flywheel_assets"):
                raise
            # A builder's machine has what `flywheel receipt` needs, and that may be all.
            raise UsageError(
                f"`flywheel {cmd_name}` needs {error.name}: install the package with its extra, "
                "flywheel_assets[pipeline]."
            ) from error
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="flywheel")
def cli() -> None:
    """From mutable builder caches to durable publication, through a gate that proves it.

    State lives in FLYWHEEL_HOME (default ./.flywheel). FLYWHEEL_CATALOGUE names the catalogue files, separated
    by colons; without it the recorded sample flywheel is used.
    """


def _code_of(error: FlywheelError) -> int:
    """No answer is told apart from the answer no: what asks again later may help there."""
    if isinstance(error, CatalogError | UsageError):
        return MISUSED
    if isinstance(error, EvidenceError | UnauthorisedError | RateLimitedError | UnreadableError):
        return UNTOLD
    return REJECTED


def main() -> None:
    """Run the command line; an error that is ours becomes a sentence and an exit code."""
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.Exit as leave:
        sys.exit(leave.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(MISUSED)
    except (click.Abort, KeyboardInterrupt):
        click.echo("flywheel: interrupted. Run it again to go on: nothing is lost or doubled.", err=True)
        sys.exit(INTERRUPTED)
    except FlywheelError as error:
        click.echo(f"flywheel: {error}", err=True)
        sys.exit(_code_of(error))
    except BrokenPipeError:
        sys.exit(DONE)
    except OSError as error:
        click.echo(f"flywheel: {error.filename or 'a file'}: {error.strerror or error}", err=True)
        sys.exit(MISUSED)
    sys.exit(code if isinstance(code, int) else DONE)


if __name__ == "__main__":
    main()
