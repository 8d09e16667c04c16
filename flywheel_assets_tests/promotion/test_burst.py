"""Ten thousand documents at once: bounded intakes, nothing lost or doubled, and none slow for the length of a log."""

import json
import time
from collections import Counter
from pathlib import Path

import pytest

from flywheel_assets.promotion.intake import UNROUTED, take_in
from flywheel_assets.wiring import SAMPLE_CATALOGUE, Settings, open_flywheel

DOCUMENTS = 10_000


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_ten_thousand_documents_go_through_in_bounded_intakes_once_each(tmp_path: Path) -> None:
    flywheel = open_flywheel(Settings(tmp_path, SAMPLE_CATALOGUE))
    inbox = tmp_path / "sample" / "inbox"
    for path in inbox.iterdir():
        path.unlink()
    for number in range(DOCUMENTS):
        (inbox / f"{number:05}.json").write_bytes(json.dumps({"burst": number}).encode())
    taken, seconds = [], []
    for _ in range(DOCUMENTS // flywheel.limits.inbox_batch):
        began = time.monotonic()
        taken.append(take_in(flywheel).total)
        seconds.append(time.monotonic() - began)
    assert taken == [flywheel.limits.inbox_batch] * len(taken)
    assert take_in(flywheel).total == 0
    logged = Counter(entry.evidence for entry in flywheel.evidence.entries(UNROUTED))
    assert len(logged) == DOCUMENTS
    assert set(logged.values()) == {1}
    assert max(seconds) < 20, "a tick has 60 s for all it does"
    again = open_flywheel(Settings(tmp_path, SAMPLE_CATALOGUE))
    assert take_in(again).total == 0, "a process that remembers nothing finds it all in evidence"
