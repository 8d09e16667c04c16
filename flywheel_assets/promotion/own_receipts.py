"""Which of the documents that a run left are its own receipts, and of the attempt that is read."""

from collections.abc import Iterator
from dataclasses import replace

from flywheel_assets.domain.errors import InvalidInputError, printable
from flywheel_assets.domain.platform_runs import SKEW, PlatformRun
from flywheel_assets.domain.receipts import Receipt
from flywheel_assets.ports import Delivery
from flywheel_assets.promotion.attested import Attestations
from flywheel_assets.promotion.flywheel import Flywheel
from flywheel_assets.promotion.intake import open_statement


def own_receipts(
    flywheel: Flywheel, run: PlatformRun, left: Delivery, latest: int | None, attestations: Attestations
) -> Iterator[Delivery]:
    """What is taken in of a document: as it is, as the attestations that sign it, or its problem.

    Nothing of a receipt that another attempt is read with; ``latest`` is the run's last attempt, where that is known.
    Raises ReadError for the attestations.
    """
    checked, receipt = _of_its_run(flywheel, run, left, latest)
    if checked is None:
        return
    if checked.data is None or receipt is None:
        yield checked
    else:
        yield from attestations.of(checked, checked.data, receipt)


def _of_its_run(
    flywheel: Flywheel, run: PlatformRun, delivery: Delivery, latest: int | None
) -> tuple[Delivery | None, Receipt | None]:
    """The delivery and the receipt in it, or its problem when that is of another run and was laid into this one.

    None for one of another attempt: it is read with that. One of an attempt after the ``latest`` is of none.
    """
    if delivery.data is None:
        return delivery, None
    try:
        statement = open_statement(flywheel, delivery.data, delivery.name)
    except InvalidInputError:
        return delivery, None  # intake says why
    if not isinstance(statement, Receipt):
        return delivery, None
    claimed, key = statement.run.source.repository, statement.run.key
    problem = ""
    if (claimed, key.run) != (run.repository, run.run):
        problem = f"is a receipt of run {key.run} of {claimed}, and lay in run {run.run} of {run.repository}"
    elif latest is not None and key.attempt > latest:
        problem = f"is a receipt of attempt {key.attempt}, and the run had {latest} when it was read"
    elif key.attempt != run.attempt:
        return None, None
    elif delivery.made_at is not None and not run.started_at <= delivery.made_at <= run.finished_at + SKEW:
        problem = f"is a receipt of attempt {key.attempt}, and lay in an artifact that another attempt made"
    if not problem:
        return delivery, statement
    return replace(delivery, data=None, problem=printable(problem, 400)), None
