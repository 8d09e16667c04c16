"""`flywheel promote`: publish one build, if the gate lets it."""

import click

from flywheel_assets.cli.console import bytes_progress, console, print_json
from flywheel_assets.cli.looking import parse_build
from flywheel_assets.cli.standing_in import at_stand_in
from flywheel_assets.domain.builds import BuildKey
from flywheel_assets.domain.dispatches import Dispatch
from flywheel_assets.domain.errors import PromotionRefusedError
from flywheel_assets.domain.publications import Plan
from flywheel_assets.promotion.explaining import explain_refusal
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.ledger import last_verdict, publications
from flywheel_assets.promotion.publishing import plan_promotion
from flywheel_assets.promotion.publishing import promote as publish
from flywheel_assets.promotion.report import excepted_by
from flywheel_assets.promotion.waiting import said_of
from flywheel_assets.wiring import open_flywheel, settings


@click.command(
    help="Publish one build, if the gate lets it. Repeating it changes nothing, but where a workflow that publishes it "
    "has failed: then that is asked for once more."
)
@click.argument("output")
@click.argument("build")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing on the surface.")
@click.option("--json", "as_document", is_flag=True, help="Print the stable JSON document (docs/json.md).")
def promote(output: str, build: str, dry_run: bool, as_document: bool) -> None:
    """Promote, or plan it."""
    with at_stand_in(settings()) as chosen:
        _promote(open_flywheel(chosen), output, parse_build(build), dry_run=dry_run, as_document=as_document)


def _promote(flywheel: Flywheel, output: str, key: BuildKey, *, dry_run: bool, as_document: bool) -> None:
    out = console()
    try:
        if dry_run:
            plan = plan_promotion(flywheel, output, key)
            if as_document:
                print_json({"schema": 1, "plan": plan.model_dump(mode="json", exclude={"release"})})
                return
            _print_plan(flywheel, key, plan)
            return
        with bytes_progress(f"{output} {key}") as progress:
            done = publish(flywheel, output, key, progress)
    except PromotionRefusedError as refusal:
        out.print(explain_refusal(refusal))
        raise
    if isinstance(done, Dispatch):
        if as_document:
            print_json({"schema": 1, "dispatch": done.model_dump(mode="json")})
            return
        said = said_of(flywheel, done)
        out.print(f"Under way: {said.message}.")
        out.print(f"  to change it: {said.remedy}\n  who acts:     {said.actor}")
        return
    if as_document:
        print_json({"schema": 1, "publication": done.publication.model_dump(mode="json")})
        return
    out.print(f"Published {done.publication.reference}")
    members = "1 member" if len(done.copied) == 1 else f"{len(done.copied)} members"
    out.print(f"  {members} copied, {done.publication.bytes_read_back:,} bytes read back")
    recorded = last_verdict(flywheel, output, key)
    if recorded and (exception := excepted_by(flywheel.catalogue, recorded.verdict)):
        out.print(f"  it passes by the exception {exception}")


def _print_plan(flywheel: Flywheel, key: BuildKey, plan: Plan) -> None:
    """What would be done; since when it is published, where all of it is there and on record."""
    out, records = console(), publications(flywheel, plan.release.output)
    on_record = next((each for each in records if (each.build, each.reference) == (key, plan.reference)), None)
    if on_record and not (plan.missing or plan.names):
        out.print(f"Already published at {plan.reference}, since {on_record.published_at:%Y-%m-%d %H:%M} UTC.")
        return
    out.print(f"Would publish {plan.reference}")
    out.print(f"  to copy: {len(plan.missing)}, present: {len(plan.present)}, names to set: {len(plan.names)}")
    for what, parts in (("copy", plan.missing), ("name", plan.names)):
        for part in parts:
            out.print(f"  + {what} {part}")
