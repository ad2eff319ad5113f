"""How good a model's predictions are, for whom they are worse, and for whom nobody can say.

Estimates are scikit-learn's (the extra `eval`). Intervals come from a bootstrap of patients, else lesions, else images;
all groups are measured under the same resamples. `Wanted` is what is asked, `judge`'s value the JSON answer of
`evaluate` and what `dermdata.report.evaluation_page` takes.
"""

from dermdata.evaluation.judge import KEYS, Wanted, judge
from dermdata.evaluation.naming import Naming, guessed
from dermdata.evaluation.prepare import Prepared, prepare
from dermdata.evaluation.reading import parse

__all__ = ["KEYS", "Naming", "Prepared", "Wanted", "guessed", "judge", "parse", "prepare"]
