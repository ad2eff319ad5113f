"""A hook of mkdocs: pages that lie outside docs/, and links that lead out of it.

README.md, CHANGELOG.md, CONTRIBUTING.md and the page of the benchmarks are read where the repository shows them, with
links that hold there. The site shows the same files: a link to a file that is a page becomes a link to this page, a
link to any other file leads to the repository.
"""

import posixpath
import re
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the tests read this module without mkdocs
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
REPOSITORY = "https://github.com/dermdata/dermdata/blob/main/"
OUTSIDE = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "benchmarks/README.md": "benchmarks.md",
}
FENCE = re.compile(r"(^```.*?^```$)", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"(?<=\]\()([^)\s]+)(?=\))")


def on_files(files: "Files", config: Any) -> "Files":
    """Add the pages from outside docs/."""
    from mkdocs.structure.files import File

    for source, page in OUTSIDE.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: "Page", files: "Files", **_: Any) -> str:
    """Rewrite the page's links, outside of code blocks."""
    uri = page.file.src_uri
    source = next((path for path, made in OUTSIDE.items() if made == uri), f"docs/{uri}")
    pages = {one.src_uri for one in files.documentation_pages()}
    parts = FENCE.split(markdown)
    parts[::2] = [LINK.sub(lambda link: site_link(link[0], source, pages), part) for part in parts[::2]]
    return "".join(parts)


def site_link(link: str, source: str, pages: Collection[str]) -> str:
    """Where a link of the file `source` leads on the site; a dead one stays as it is, for mkdocs to find."""
    target, hash_mark, anchor = link.partition("#")
    if target.startswith(REPOSITORY):
        path = target.removeprefix(REPOSITORY)
    elif not target or "://" in target:
        return link
    else:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
    page = OUTSIDE.get(path) or path.removeprefix("docs/")
    if page in pages and (path in OUTSIDE or path.startswith("docs/")):
        return f"{page}{hash_mark}{anchor}"
    return f"{REPOSITORY}{path}{hash_mark}{anchor}" if (ROOT / path).exists() else link
