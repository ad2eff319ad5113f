"""The words that a manifest's columns may hold: the one list that entries, readers, checks and pages go by."""

from collections.abc import Mapping
from types import MappingProxyType

MALIGNANCY_WORDS = ("benign", "premalignant", "malignant", "indeterminate", "not-applicable")
SKIN_SOURCES = ("self", "dermatologist", "annotator", "estimated")
# manifest column -> the words that it may hold
CLOSED_WORDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "sex": ("female", "male", "other"),
        "modality": ("dermoscopic", "clinical", "tbp-tile", "rcm", "histopathology", "ultrasound"),
        "malignancy": MALIGNANCY_WORDS,
        "malignancy_source": (*MALIGNANCY_WORDS, "mixed", "non-malignant"),
        "confirmation": (
            "histopathology", "serial-imaging", "expert-consensus", "confocal", "clinical", "self-report",
        ),
        "fitzpatrick_source": SKIN_SOURCES,
        "monk_source": SKIN_SOURCES,
    }
)  # fmt: skip
