"""What checks a promise: functions of a desk, so that the broken downloader can be sat down at it too."""

from collections import defaultdict
from collections.abc import Callable

from faults.desk import Desk

Check = Callable[[Desk], None]
CHECKS: dict[int, list[Check]] = defaultdict(list)


def promise(number: int) -> Callable[[Check], Check]:
    """Register what a promise's test carries out, in this order."""

    def register(check: Check) -> Check:
        CHECKS[number].append(check)
        return check

    return register
