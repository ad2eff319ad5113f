"""Evaluation says how good a model's predictions are, for whom they are worse, and for whom nobody can say.

Estimates equal scikit-learn's to 1e-9, which a test holds. Intervals come from a bootstrap of patients, else lesions,
else images; all groups are measured under the same resamples. `EvaluationOptions` is what is asked, the value of
`evaluate_sample` the JSON answer of `evaluate` and what `dermdata.report.evaluation_page` takes.
"""

from dermdata.evaluation.own_classes import class_of_diagnoses, find_own_classes, list_predicted_words
from dermdata.evaluation.predictions import ClassNaming, guess_space, parse_predictions
from dermdata.evaluation.prepare import PreparedSample, prepare_sample
from dermdata.evaluation.scores import KEYS, EvaluationOptions, draw_curves, evaluate_sample

__all__ = [
    "KEYS",
    "ClassNaming",
    "EvaluationOptions",
    "PreparedSample",
    "class_of_diagnoses",
    "draw_curves",
    "evaluate_sample",
    "find_own_classes",
    "guess_space",
    "list_predicted_words",
    "parse_predictions",
    "prepare_sample",
]
