"""Threads that share work, with a bound on the bytes in their hands."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Condition
from types import TracebackType
from typing import Generic, Self, TypeVar

T = TypeVar("T")
HELD = 96 << 20  # bytes of members in memory at a time, over all threads
LEAST = 256 << 10  # what a piece of work weighs at least, so that the queue is short


class Crew(Generic[T]):
    """Workers whose results come back in the order in which the work was given."""

    def __init__(self, jobs: int) -> None:
        self._pool = ThreadPoolExecutor(jobs, thread_name_prefix="unpack")
        self._changed = Condition()
        self._held = 0
        self._failed = False
        self._futures: list[Future[T | None]] = []

    def give(self, weight: int, work: Callable[[], T]) -> bool:
        """Hand over work that holds `weight` bytes, waiting for room; False when the crew has failed."""
        weight = max(weight, LEAST)
        with self._changed:
            self._changed.wait_for(lambda: self._failed or not self._held or self._held + weight <= HELD)
            if self._failed:
                return False
            self._held += weight
        self._futures.append(self._pool.submit(self._do, weight, work))
        return True

    def _do(self, weight: int, work: Callable[[], T]) -> T | None:
        done = False
        try:
            result = None if self._failed else work()
            done = True
            return result
        finally:
            with self._changed:
                self._held -= weight
                self._failed = self._failed or not done
                self._changed.notify()

    def results(self) -> list[T]:
        """Collect what all work gave, in its order; raises the first error."""
        return [result for future in self._futures if (result := future.result()) is not None]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._failed = self._failed or error is not None
        self._pool.shutdown(wait=True, cancel_futures=error is not None)
