"""Parses JSON from unknown sources: depth and characters are bounded, and every fault is a ValueError."""

import json
import re
from collections.abc import Callable
from typing import Any

MAX_DEPTH = 32  # lists and objects within each other; Arrow's own format holds 64
HALF_CHARACTER = re.compile(r"\\u[dD][89a-fA-F]")  # may be half of a character
PairsHook = Callable[[list[tuple[str, Any]]], Any]


def parse_json(text: str | bytes, pairs: PairsHook | None = None) -> Any:
    """The value that the text stands for.

    Parameters
    ----------
    text : str or bytes
        UTF-8, when bytes.
    pairs : callable, optional
        Makes an object from its (key, value) pairs; a dict otherwise.

    Raises
    ------
    ValueError
        What is no JSON, is nested deeper than MAX_DEPTH, or holds half of a character.

    """
    text = text.decode("utf-8-sig") if isinstance(text, bytes) else text
    if text.count("[") + text.count("{") > MAX_DEPTH and nesting_depth(text) > MAX_DEPTH:
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
    value = json.loads(text, object_pairs_hook=pairs)
    if HALF_CHARACTER.search(text):
        require_whole_characters(value)
    return value


def nesting_depth(text: str) -> int:
    """The most brackets that are open at once, those in strings left out."""
    deepest = depth = 0
    for piece in re.finditer(r'"(?:[^"\\]+|\\.)*"?|[\[{]|[\]}]', text, re.DOTALL):
        bracket = piece[0]
        if bracket in "[{":
            depth += 1
            deepest = max(deepest, depth)
            if depth > MAX_DEPTH:
                break
        elif bracket in "]}":
            depth -= 1
    return deepest


def require_whole_characters(value: Any) -> None:
    """ValueError where a text holds a surrogate without its other half."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise ValueError("half of a character") from error
