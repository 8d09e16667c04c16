"""Several at a time: in order where it matters, and ended by the first error."""

import threading
import time
from graphlib import TopologicalSorter

import pytest

from flywheel_assets.adapters.nix.parallel import each_after_its_references, in_parallel


def test_results_are_in_the_order_of_the_items() -> None:
    def slower_first(number: int) -> int:
        time.sleep((10 - number) / 1000)
        return number * number

    assert in_parallel(slower_first, range(10), 4) == [number * number for number in range(10)]
    assert in_parallel(slower_first, [], 4) == []


def test_so_many_are_at_work_at_once() -> None:
    all_there = threading.Barrier(5, timeout=10)
    in_parallel(lambda _: all_there.wait(), range(5), 5)
    each_after_its_references(TopologicalSorter({str(each): [] for each in range(5)}), lambda _: wait(all_there), 5)


def wait(barrier: threading.Barrier) -> None:
    barrier.wait()


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt])
def test_the_first_error_ends_the_rest_and_is_raised(kind: type[BaseException]) -> None:
    done: list[int] = []

    def work(number: int) -> None:
        if number == 3:
            raise kind
        time.sleep(0.001)
        done.append(number)

    with pytest.raises(kind):
        in_parallel(work, range(1000), 2)
    assert len(done) < 50
    chain = TopologicalSorter({str(each): [str(each - 1)] for each in range(1, 1000)})
    done.clear()
    with pytest.raises(kind):
        each_after_its_references(chain, lambda path: work(int(path)), 3)
    assert done == [0, 1, 2]


@pytest.mark.timeout(20)
@pytest.mark.parametrize("threads", [1, 2, 25])
def test_each_path_comes_after_all_that_it_refers_to(threads: int) -> None:
    graph = {str(number): [str(each) for each in range(number) if number % (each + 2) == 0] for number in range(200)}
    graph["root"] = [*graph]
    done: list[str] = []

    def work(path: str) -> None:
        assert set(graph[path]) <= set(done)
        done.append(path)

    each_after_its_references(TopologicalSorter(graph), work, threads)
    assert sorted(done) == sorted(graph)
    assert done[-1] == "root"
