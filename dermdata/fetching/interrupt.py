"""Threads that are not waited for when the person interrupts."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager


@contextmanager
def interruptible(pool: ThreadPoolExecutor) -> Iterator[ThreadPoolExecutor]:
    """Wait for all work at the end, but not after Ctrl-C: one body may take hours, and a kill harms nothing."""
    try:
        yield pool
    except KeyboardInterrupt:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    except BaseException:
        pool.shutdown()
        raise
    pool.shutdown()
