"""What an audit needs beside rows: which datasets they are of, and what the catalog and the cache say of these."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dermdata.api.resources import Resources

if TYPE_CHECKING:
    from dermdata.api.targets import Loaded
    from dermdata.audit import Context


def audit_columns() -> list[str]:
    """The columns that checks read: not the wide ones that only a page shows."""
    from dermdata.manifest.schema import SCHEMA
    from dermdata.projection import LABEL, REASON, REFINED_FROM, REFINED_LABEL

    wide = {"extra", "caption", "concepts", "masks", "attribution"}
    return [*(name for name in SCHEMA.names if name not in wide), LABEL, REASON, REFINED_FROM, REFINED_LABEL]


def context_of(
    resources: Resources,
    loaded: "Loaded",
    targets: Sequence[str],
    listed: Sequence[tuple[str, str]],
    *,
    changed: bool,
) -> "Context":
    """What the rows' datasets are; counts are compared where all of a dataset's rows are here."""
    from dermdata.agreement import Judge
    from dermdata.api.label_spaces import sources_of, words_of
    from dermdata.audit import Context
    from dermdata.projection import Statements
    from dermdata.split import check

    entries = {name: resources.catalog[name] for name in loaded.names if name in resources.catalog}
    folders = {name: resources.cache.folder(entry) for name, entry in entries.items()}
    receipts = {name: receipt for name, folder in folders.items() if (receipt := folder.receipt())}
    named = {resources.catalog[target].name for target in targets if target in resources.catalog}
    complete = {name for name, receipt in receipts.items() if receipt.complete}
    vocabulary = resources.library.vocabulary
    return Context(
        statements=Statements(words_of(resources, sources_of(loaded.table)), vocabulary),
        judge=Judge(vocabulary),
        entries=entries,
        roots=loaded.roots,
        kept={name: folders[name].path for name in receipts},
        whole=frozenset() if changed else frozenset(named & complete),
        check_split=check,
        listed=listed,
    )
