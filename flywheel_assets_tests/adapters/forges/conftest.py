"""A stand-in of GitHub's API that is served, and no waiting between attempts."""

from collections.abc import Iterator

import pytest
import stamina

from flywheel_assets_tests.forge import Github, served
from flywheel_assets_tests.scripted import Scripted


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=4, cap=True):
        yield


@pytest.fixture
def forge() -> Github:
    return Github()


@pytest.fixture
def server(forge: Github) -> Iterator[Scripted]:
    with served(forge) as found:
        yield found
