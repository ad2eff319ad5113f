"""Writes the generated pages and blocks of README.md and docs/ from the code and the catalog.

    python scripts/make_docs.py [--check]

`docs/commands.md`, `docs/catalog.md` and `docs/catalog-keys.md` are wholly generated. Other pages hold blocks between
`<!-- make docs: NAME -->` and `<!-- end -->`; all else on them is written by hand. --check writes nothing
and exits 1 if a page is stale.
"""

import argparse
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import docs_catalog
import docs_commands
import docs_inference
import docs_keys
import docs_tables
import docs_words

ROOT = Path(__file__).resolve().parents[1]
PAGES: Mapping[str, Callable[[], str]] = {
    "docs/commands.md": docs_commands.page,
    "docs/catalog.md": docs_catalog.page,
    "docs/catalog-keys.md": docs_keys.page,
}
BLOCKS: Mapping[str, Callable[[], str]] = {
    "commands": docs_commands.overview,
    "not yet": docs_commands.not_yet,
    "catalog in numbers": docs_catalog.in_numbers,
    "manifest columns": docs_tables.columns,
    "concept tree": docs_tables.tree,
    "label spaces": docs_tables.spaces,
    "leakage": docs_tables.leakage,
    "crosswalk in numbers": docs_tables.crosswalk_in_numbers,
    "review list": docs_tables.review_list,
    "proposals in numbers": docs_words.proposals_in_numbers,
    "terms in numbers": docs_words.terms_in_numbers,
    "inference by field": docs_inference.by_field,
    "inference by dataset": docs_inference.by_dataset,
}
BLOCK = re.compile(r"(<!-- make docs: (?P<name>[a-z ]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def filled(text: str) -> str:
    """A hand-written page with its blocks made anew; KeyError for a block that nobody makes."""
    return BLOCK.sub(lambda found: f"{found[1]}{BLOCKS[found['name']]()}\n{found[3]}", text)


def made() -> dict[Path, str]:
    """Every page that holds something generated, as it should be."""
    pages = {ROOT / name: make() for name, make in PAGES.items()}
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        if path not in pages:
            pages[path] = filled(path.read_text(encoding="utf-8"))
    return pages


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="Write nothing; exit 1 if a page is stale.")
    check = parser.parse_args().check
    stale = [
        (path, text)
        for path, text in made().items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    for path, text in stale:
        print(f"{'stale' if check else 'written'}: {path.relative_to(ROOT)}")
        if not check:
            path.write_text(text, encoding="utf-8")
    if check and stale:
        print("`make docs` brings them up to date", file=sys.stderr)
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
