"""The parts that are asked for: `train=0.7,val=0.15,test=0.15` as names and shares of the whole."""

import math
import re
from collections.abc import Mapping

from dermdata.errors import UsageError

USUAL = {1: ("train",), 2: ("train", "test"), 3: ("train", "val", "test")}
DEFAULT: Mapping[str, float] = {"train": 0.7, "val": 0.15, "test": 0.15}
EXAMPLE = "write for example train=0.7,val=0.15,test=0.15"
MOST_FOLDS = 127  # the manifest keeps the fold in an int8


def parse_ratios(text: str) -> dict[str, float]:
    """Names and shares from `train=0.7,test=0.3`, `0.7,0.3`, `70,30` or `70%,30%`; UsageError otherwise."""
    items = [item.strip() for item in text.split(",") if item.strip()]
    named = [item.partition("=") for item in items]
    with_name = sum(bool(sign) for _, sign, _ in named)
    if with_name not in (0, len(items)):
        raise UsageError(f"some parts of '{text}' have a name and some have none", hint=EXAMPLE)
    values = [_number(value if sign else name, text) for name, sign, value in named]
    names = [name.strip() for name, _, _ in named] if with_name else _usual_names(len(items), text)
    return require_ratios(_once_each(names, _as_shares(values, text)))


def require_ratios(ratios: Mapping[str, float]) -> dict[str, float]:
    """The same ratios, once they are proven: names, each above 0, together 1 within 1e-6."""
    if not ratios:
        raise UsageError("no parts to split into", hint=EXAMPLE)
    for name, value in ratios.items():
        if not re.fullmatch(r"[A-Za-z][\w.-]*", name):
            raise UsageError(f"'{name}' cannot be the name of a part", hint="letters, digits, - and _")
        if not (math.isfinite(value) and value > 0):
            raise UsageError(f"part '{name}' has the ratio {value:g}", hint="leave it out, or give it more")
    total = math.fsum(ratios.values())
    if abs(total - 1) > 1e-6:
        raise UsageError(f"the ratios sum to {total:.6g}, not to 1", hint=_sum_hint(ratios, total))
    return dict(ratios)


def require_folds(folds: int) -> dict[str, float]:
    """Equal parts named `fold 0` … for K folds; UsageError below 2 or above 127."""
    if not 2 <= folds <= MOST_FOLDS:
        raise UsageError(f"cannot make {folds} folds", hint=f"choose 2 to {MOST_FOLDS}")
    return {f"fold {number}": 1 / folds for number in range(folds)}


def _sum_hint(ratios: Mapping[str, float], total: float) -> str:
    scaled = ",".join(f"{name}={value / total:.4g}" for name, value in ratios.items())
    return f"in the same proportion they would be {scaled}"


def _number(word: str, text: str) -> float:
    word = word.strip()
    try:
        value = float(word.removesuffix("%"))
    except ValueError:
        raise UsageError(f"'{word}' in '{text}' is no number", hint=EXAMPLE) from None
    return value / 100 if word.endswith("%") else value


def _as_shares(values: list[float], text: str) -> list[float]:
    """Bare numbers that sum to 100 are percentages."""
    percent = abs(sum(values) - 100) < 1e-4 and "%" not in text
    return [value / 100 for value in values] if percent else values


def _usual_names(count: int, text: str) -> tuple[str, ...]:
    if count not in USUAL:
        raise UsageError(f"'{text}' has {count} numbers, and names are usual for 1 to 3 parts", hint=EXAMPLE)
    return USUAL[count]


def _once_each(names: list[str] | tuple[str, ...], values: list[float]) -> dict[str, float]:
    twice = sorted({name for name in names if list(names).count(name) > 1})
    if twice:
        raise UsageError(f"part '{twice[0]}' is named twice", hint=EXAMPLE)
    return dict(zip(names, values, strict=True))
