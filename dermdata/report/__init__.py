"""One self-contained HTML page of an audit or an evaluation: no network, no server, nothing beside the file.

`facts` is what the command line knows beside the rows; every key may be absent:

    title, command, tool          texts; `command` is the line that made the page
    rows                          which rows these are, in words
    made                          when, as a text; absent: the same inputs give the same bytes
    checked                       codes that were looked for; absent: nothing is said to be unchecked
    names                         id -> label of concepts, body sites and classes
    datasets                      [{name, title, version, digest, homepage, license, images}]; else the rows' metadata
    history                       ["what became of the rows", …]
    citations                     [{dataset, rows, license, doi, bibtex, attribution}], as `cite` gives them
    effective_license             {id, commercial_use, redistribution, share_alike, because}

`result` of an evaluation is the JSON answer of `evaluate`, as plain values:

    items                         [{by, value, n, metric, estimate, low, high}]; overall: by and value are None
    gaps                          [{by, metric, worst, best, gap, low, high}]
    too_small                     [{by, value, n, reason}]
    missing_predictions           how many images have none
    unknown_predictions, duplicate_predictions   how many; absent: not shown
    confusion                     {classes: [id, …], matrix: [[n, …], …]}; rows are the truth
    calibration                   {bins: [{low, high, n, confidence, accuracy}], ece, brier}
    n, unit, resamples, seed, level              of the intervals: images, patient|lesion|image, 1000, 0, 0.95
    notes                         [text, …]
    classes, positive             the classes; the one that is told from the rest, where there is just one
    operating_points              [{metric, value, thresholds: {class: threshold}}]
    against_rest                  [{by, value, n, metric, estimate, rest, rest_n, difference, low, high, claimed}]
    not_compared                  [{by, value, metric, reason}]: of groups that are large enough for other metrics
    curves                        as `dermdata.evaluation.draw_curves` gives them; absent: none are drawn
"""

from dermdata.report.audit import audit_page
from dermdata.report.card import model_card, require_untouched
from dermdata.report.evaluation import evaluation_page
from dermdata.report.plots import figure_files, list_figures

__all__ = ["audit_page", "evaluation_page", "figure_files", "list_figures", "model_card", "require_untouched"]
