"""What concepts and body sites are called in other languages: facts with their sources, never a mapping of themselves."""

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass

from dermdata.vocabulary import tsv
from dermdata.vocabulary.concepts import normalize_text

TERM_COLUMNS = ("concept", "language", "term", "source")
SITE_TERM_COLUMNS = ("site", "language", "term", "source")
LANGUAGES = {
    "en": "English", "de": "German", "es": "Spanish", "fr": "French", "it": "Italian", "pt": "Portuguese", "tr": "Turkish",
    "zh": "Chinese",
}  # fmt: skip
# signs that are no letter with an accent, as people write them without
PLAIN_SIGNS = str.maketrans({"\u0131": "i", "\u00e6": "ae", "\u0153": "oe", "\u00c6": "ae", "\u0152": "oe"})
UMLAUTS = str.maketrans(
    {"\u00e4": "ae", "\u00f6": "oe", "\u00fc": "ue", "\u00c4": "Ae", "\u00d6": "Oe", "\u00dc": "Ue"}
)


FACTOR = 0.9  # of the score of such a name in a search


@dataclass(frozen=True, slots=True)
class ForeignTerm:
    """What one language calls a concept or a body site, and who says so."""

    concept: str  # or the site
    language: str  # of LANGUAGES
    text: str
    source: str  # repository, commit and path of a publication, and its own key


def parse_terms(
    text: str,
    known: Container[str],
    where: str = "vocabulary/terms.tsv",
    header: tuple[str, ...] = TERM_COLUMNS,
) -> tuple[ForeignTerm, ...]:
    """Parse a `terms.tsv`, or a `site-terms.tsv`.

    Parameters
    ----------
    text : str
        The file's text.
    known : container of str
        The ids that there are.
    where : str
        The file's name in errors.
    header : tuple of str
        Its columns.

    Returns
    -------
    tuple of ForeignTerm
        In file order.

    Raises
    ------
    BadCatalog
        Every issue of the text, each with its line.

    """
    issues: list[str] = []
    rows = tsv.read_rows(text, header, issues)
    for line, (concept, language, term, source) in rows:
        if concept not in known:
            issues.append(f"line {line}: unknown {header[0]} '{concept}'")
        if language not in LANGUAGES:
            issues.append(f"line {line}: '{language}' is none of {', '.join(LANGUAGES)}")
        if not term or not source:
            issues.append(f"line {line}: a row needs a term and its source")
    tsv.raise_issues(where, issues)
    return tuple(ForeignTerm(*row) for _, row in rows)


def plain_term(text: str) -> str:
    """A term without case, accents and punctuation; the Turkish i without a dot is an i."""
    return normalize_text(text.translate(PLAIN_SIGNS))


def spell_term(term: ForeignTerm) -> Iterator[str]:
    """The ways in which a term is written, plain: German umlauts as one letter or as two."""
    yield plain_term(term.text)
    if term.language == "de":
        yield plain_term(term.text.translate(UMLAUTS))


def name_terms(terms: Iterable[ForeignTerm]) -> Iterator[tuple[str, str, float]]:
    """Terms as a search takes names: what is meant, the name, and its factor; the English names come before."""
    for term in terms:
        yield term.concept, term.text, FACTOR
