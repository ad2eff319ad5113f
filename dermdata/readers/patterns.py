"""Patterns of the catalog: "{label}/{patient}_{number}.jpg" names the parts of a path or a word."""

import re
from functools import cache


@cache
def compiled(pattern: str) -> tuple[re.Pattern[str], tuple[str, ...]]:
    """An expression in which each {name} is part of one path component, and the names in order.

    A part is as long as it can be: "{patient}_{number}" cuts MKP_17_01 into MKP_17 and 01.
    """
    parts = re.split(r"\{(\w+)\}", pattern)
    expression = "".join(
        f"(?P<{part}>[^/]+)" if number % 2 else re.escape(part) for number, part in enumerate(parts)
    )
    return re.compile(expression), tuple(parts[1::2])
