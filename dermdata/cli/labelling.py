"""The former name of `label_options`, until export, select, split and evaluate import that."""

from dermdata.cli.label_options import LABELS_HELP as LABELS_HELP
from dermdata.cli.label_options import STRICT_HELP as STRICT_HELP
