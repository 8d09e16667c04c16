"""Benches that the tests of the lineage share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from flywheel_assets_tests.orchestration.bench import Bench, bench

HERE = Path(__file__).parent
TIDE_CLOCKS = tuple(f"1440220100{number}-tide-clock" for number in range(1, 9))
CHART_PLOTTERS = tuple(f"1440220110{number}-chart-plotter" for number in range(1, 7))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Partitioned checks are a preview feature, which the package rests on knowingly."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.filterwarnings("ignore:Specifying a partitions_def on an AssetCheckSpec"))


@pytest.fixture
def tide_clocks(tmp_path: Path) -> Iterator[Bench]:
    """All builds of one output, taken in and known to Dagster, none of them judged."""
    with bench(tmp_path, *TIDE_CLOCKS) as opened:
        first = opened.ask()
        opened.report_events(first)
        opened.add_partitions(first)
        yield opened


@pytest.fixture(scope="session")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """The whole sample, settled. Only for tests that must change nothing, and say so if they do."""
    with bench(tmp_path_factory.mktemp("everything")) as opened:
        opened.settle()
        yield opened
