"""Leak-free splits over the manifest: what belongs together stays together, each part mirrors the whole."""

from dermdata.split.balance import ClassShare, PartBalance
from dermdata.split.check import check, counted
from dermdata.split.groups import By, Grouping, groups
from dermdata.split.published import Published, published, recognized
from dermdata.split.ratios import parse_ratios
from dermdata.split.result import WRITTEN, SplitResult, split

__all__ = [
    "WRITTEN",
    "By",
    "ClassShare",
    "Grouping",
    "PartBalance",
    "Published",
    "SplitResult",
    "check",
    "counted",
    "groups",
    "parse_ratios",
    "published",
    "recognized",
    "split",
]
