"""Leak-free splits of a manifest keep groups of rows together; each part has the class balance of the whole."""

from dermdata.split.balance import ClassShare, PartBalance
from dermdata.split.check import SplitCoverage, check_split, count_leaks, measure_coverage
from dermdata.split.groups import GroupBy, Grouping, group_rows
from dermdata.split.published import PublishedSplit, parse_published_split, recognize_datasets
from dermdata.split.run import SPLIT_COLUMNS, SplitResult, parse_ratios, split_rows

__all__ = [
    "SPLIT_COLUMNS",
    "ClassShare",
    "GroupBy",
    "Grouping",
    "PartBalance",
    "PublishedSplit",
    "SplitCoverage",
    "SplitResult",
    "check_split",
    "count_leaks",
    "group_rows",
    "measure_coverage",
    "parse_published_split",
    "parse_ratios",
    "recognize_datasets",
    "split_rows",
]
