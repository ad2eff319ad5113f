"""Datasets refined, filtered, folded and sampled: a manifest in, a manifest out.

| column added | meaning |
|---|---|
| `label`, `label_reason` | the class in the label space asked for, or why there is none |
| `refined_from`, `refined_label` | the row whose finer label of the same image was taken, and its own word |
| `also_in` | keys of the rows that were folded into this one |
| `ids_as_given` | an id that folding replaced by the one that the same thing has elsewhere |
"""

from dermdata.selection.dedupe import By
from dermdata.selection.refine import NEEDED
from dermdata.selection.result import Selection, Wanted, select
from dermdata.selection.rows import Dropped
from dermdata.selection.where import columns_of, where

__all__ = ["NEEDED", "By", "Dropped", "Selection", "Wanted", "columns_of", "select", "where"]
