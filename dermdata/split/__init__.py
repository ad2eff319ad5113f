"""Leak-free splits of a manifest keep groups of rows together; each part has the class balance of the whole."""

from dermdata.split.balance import ClassShare, PartBalance
from dermdata.split.check import (
    PublishedSplit,
    check_split,
    count_leaks,
    parse_published_split,
    recognize_datasets,
)
from dermdata.split.groups import GroupBy, Grouping, group_rows
from dermdata.split.run import SPLIT_COLUMNS, SplitResult, parse_ratios, split_rows

__all__ = [
    "SPLIT_COLUMNS",
    "ClassShare",
    "GroupBy",
    "Grouping",
    "PartBalance",
    "PublishedSplit",
    "SplitResult",
    "check_split",
    "count_leaks",
    "group_rows",
    "parse_published_split",
    "parse_ratios",
    "recognize_datasets",
    "split_rows",
]
