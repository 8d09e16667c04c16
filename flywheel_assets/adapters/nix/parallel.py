"""Work on many paths, several at a time, in plain order or each after those that it refers to."""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from graphlib import TopologicalSorter
from queue import SimpleQueue
from threading import Lock
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_parallel(work: Callable[[Item], Result], items: Sequence[Item], threads: int) -> list[Result]:
    """``work`` of every item, in their order. The first error ends the rest after what they are at, and is raised.

    Not the executor's own map: a future for every item costs as much as a small request.
    """
    waiting = deque(enumerate(items))
    found: dict[int, Result] = {}

    def run() -> None:
        while waiting:
            try:
                number, item = waiting.popleft()
            except IndexError:  # another thread took the last one
                return
            found[number] = work(item)

    _run(run, min(threads, len(items)), waiting.clear)
    return [found[number] for number in range(len(items))]


def each_after_its_references(sorter: TopologicalSorter[str], work: Callable[[str], None], threads: int) -> None:
    """``work`` on every path of the unprepared ``sorter``, as soon as it is done on those before it.

    The first error ends the rest after what they are at, and is raised.
    """
    sorter.prepare()
    ready: SimpleQueue[str | None] = SimpleQueue()
    lock = Lock()
    stopped: list[bool] = []

    def stop() -> None:
        stopped.append(True)
        for _ in range(threads):
            ready.put(None)

    def hand_out() -> None:
        for path in sorter.get_ready():
            ready.put(path)
        if not sorter.is_active():
            stop()

    def run() -> None:
        while (path := ready.get()) is not None and not stopped:
            work(path)
            with lock:
                sorter.done(path)
                hand_out()

    hand_out()
    _run(run, threads, stop)


def _run(run: Callable[[], None], threads: int, stop: Callable[[], None]) -> None:
    """``run`` in so many threads; when one of them fails, or this one is interrupted, ``stop`` tells the others."""

    def stopping() -> None:
        try:
            run()
        except BaseException:
            stop()
            raise

    if threads == 0:
        return
    with ThreadPoolExecutor(threads, "nix") as pool:
        running = [pool.submit(stopping) for _ in range(threads)]
        try:
            for each in running:
                each.result()
        except BaseException:
            stop()
            raise
