"""Where an export's work on images runs: the one seam for other engines.

Work is given as functions of a module's top level and arguments that can be pickled, so that processes or
other machines can do it as well as threads.
"""

from concurrent.futures import Executor, ThreadPoolExecutor


def executor(jobs: int) -> Executor:
    """Threads: reading waits for the disk, and Pillow decodes, scales and encodes without the interpreter's lock."""
    return ThreadPoolExecutor(jobs)
