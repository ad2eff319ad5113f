"""What a session knows of the catalog: its entries, their labels, and concepts."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from dermdata.api.records import Records
from dermdata.api.resources import Resources

if TYPE_CHECKING:
    import pandas as pd

    from dermdata.api.label_alignment import SharedClasses
    from dermdata.model import Dataset


class CatalogMethods:
    """The methods of a session that answer from the catalog."""

    _resources: Resources

    def catalog(
        self,
        *,
        search: str | None = None,
        modality: str | None = None,
        task: str | None = None,
        access: str | None = None,
        license: str | None = None,  # noqa: A002  # the command's own word
        fetch: Sequence[str] = (),
        commercial: bool | None = None,
        min_images: int | None = None,
        has: Sequence[str] = (),
        kind: Literal["dataset", "model", "all"] = "dataset",
        cached: bool = False,
        live: bool = False,
        sort: str = "name",
    ) -> "pd.DataFrame":
        """Return what `dermdata list` knows: a row for each dataset.

        Parameters
        ----------
        search : str, optional
            Words that all stand in name, title, summary or aliases.
        modality, task, access : str, optional
            Such as "dermoscopic", "segmentation", "open".
        license : str, optional
            A license's id, or the beginning of one.
        fetch : sequence of str
            Only what `fetch` can bring so: "yes", "account" (with one), "form" (what you got after one), "by-hand"
            (what you downloaded), "no".
        commercial : bool, optional
            Only what may be used commercially, or, for False, what may not; what no license states is neither.
        min_images : int, optional
            Only with at least so many images.
        has : sequence of str
            Only with these fields of the manifest, such as ("skin_tone",).
        kind : {"dataset", "model", "all"}, default "dataset"
            What to list.
        cached : bool, default False
            Only what is in the cache; the column `complete` says of which all rows are there.
        live : bool, default False
            Add the column `seen_live`: the last day on which a live check saw its files at their hosts.
        sort : str, default "name"
            A key to sort by; "-images" for descending.

        Returns
        -------
        pandas.DataFrame
            Its columns are the command line's keys, and `fetchable`: whether `fetch` knows where the files are and
            who may have them. An account or an accepted license may still be asked for.

        Raises
        ------
        UnknownName
            For a word that no entry has.

        """
        import pandas as pd

        from dermdata.api.catalog_entries import ListFilter, list_entries

        wanted = ListFilter(
            search=search, modality=modality, task=task, access=access, license=license, fetch=fetch, commercial=commercial,
            min_images=min_images, has=has, kind=kind, cached=cached, live=live,
        )  # fmt: skip
        entries = list_entries(self._resources, wanted, sort)
        hidden = {"summary", "aliases", "fields"}
        rows = [
            {key: item[key] for key in item if key not in hidden}
            | {"fetchable": item["fetch"] in ("yes", "account")}
            for item in entries
        ]
        return pd.DataFrame(rows, columns=None if rows else [*entries.columns, "fetchable"])

    def info(self, name: str) -> "Dataset":
        """Return one catalog entry: counts, license, access, files, label words, official splits, known problems.

        Raises
        ------
        UnknownName
            With the nearest names that there are.

        """
        return self._resources.catalog[name]

    def labels(self, name: str) -> Records:
        """Return how a dataset's own words map to concepts, a record a word; see `dermdata labels map`."""
        from dermdata.api.label_tables import map_labels

        return map_labels(self._resources, name)

    def card(self, name: str, *, facts: bool = False, short: bool = False) -> str:
        """Return an entry as a card of text, 80 columns wide: what `dermdata info` prints.

        Parameters
        ----------
        name : str
            A dataset or model of the catalog.
        facts : bool, default False
            Say also where each fact comes from.
        short : bool, default False
            Only what a person needs first; files, labels and known problems are counted.

        Raises
        ------
        UnknownName
            With the nearest names that there are.

        """
        from dermdata.api.catalog_entries import write_card

        return "\n".join(write_card(self._resources, name, facts=facts, short=short))

    def entry(self, name: str) -> dict[str, Any]:
        """Return an entry as one object: the item of `dermdata info --format json`.

        Returns
        -------
        dict
            The command line's keys; `labels` are the dataset's words and what they map to.

        Raises
        ------
        UnknownName
            With the nearest names that there are.

        """
        from dermdata.api.catalog_entries import describe_entry

        return describe_entry(self._resources, name)

    def bibtex(self, name: str) -> str:
        """Return an entry's BibTeX.

        Raises
        ------
        UsageError
            For an entry without BibTeX.
        UnknownName
            With the nearest names that there are.

        """
        from dermdata.api.entry_documents import entry_bibtex

        return entry_bibtex(self._resources, name)

    def croissant(self, name: str) -> dict[str, Any]:
        """Return an entry as a Croissant document: JSON-LD for search engines and loaders of data.

        Raises
        ------
        UsageError
            For a model.
        UnknownName
            With the nearest names that there are.

        """
        from dermdata.api.entry_documents import entry_croissant

        return entry_croissant(self._resources, self._resources.catalog[name])

    def find_labels(self, text: str, *, limit: int = 20) -> Records:
        """Find concepts by label, synonym, a dataset's word or a code; typing errors are forgiven.

        Parameters
        ----------
        text : str
            Such as "bcc", "C43.9" or "melanomma".
        limit : int, default 20
            How many at most.

        Returns
        -------
        Records
            `concept, name, path, malignancy, matched, score`, the best first.

        """
        from dermdata.api.label_index import find_concepts

        return find_concepts(self._resources, text, limit)

    def find_sites(self, text: str = "", *, limit: int = 20) -> Records:
        """Find body sites by label, id or synonym; typing errors are forgiven.

        Parameters
        ----------
        text : str
            Such as "face" or "sole of foot"; all sites are returned for none.
        limit : int, default 20
            How many at most.

        Returns
        -------
        Records
            `site, name, path, matched, score`, the best first; `site` is what `body_site` holds.

        """
        from dermdata.api.label_index import find_sites

        return find_sites(self._resources, text, limit)

    def label_spaces(self, name: str | None = None) -> Records:
        """Return the label spaces of the catalog, or the classes of one.

        Parameters
        ----------
        name : str, optional
            A space's name, a file, or one written as "a,b+c".

        Returns
        -------
        Records
            `space, count, title, classes` of each; of one `class, concepts` in the classes' order, a concept with
            or without "/malignancy".

        Raises
        ------
        UnknownName
            For what is no label space.

        """
        from dermdata.api.label_spaces import list_spaces

        return list_spaces(self._resources, name)

    def label_tree(self, concept: str | None = None, *, depth: int | None = None) -> Records:
        """Return the diagnosis tree, each concept before what is below it.

        Parameters
        ----------
        concept : str, optional
            Only what is below it; the whole tree unless told.
        depth : int, optional
            How many levels.

        Returns
        -------
        Records
            `concept, name, parent, level, malignancy, synonyms, images`: the cached images of it or of what is below.

        Raises
        ------
        UnknownName
            For a concept that is not in the tree.

        """
        from dermdata.api.label_tables import list_concepts

        return list_concepts(self._resources, concept, depth)

    def align_labels(
        self, *names: str, max_loss: float | None = None, keep_all: bool = False
    ) -> "SharedClasses":
        """Find the finest label set that datasets share without ambiguity.

        Parameters
        ----------
        *names : str
            Datasets of the catalog.
        max_loss : float, optional
            Leave out labels of at most this share of the images, from 0 to 1, for a finer set.
        keep_all : bool, default False
            Leave no label out, whatever it glues.

        Returns
        -------
        SharedClasses
            `classes`, whose `facts` tell what is outside them and what more classes would cost, and `notes`.

        Raises
        ------
        UsageError
            For a dataset without label words.

        """
        from dermdata.api.label_alignment import align_labels

        return align_labels(self._resources, names, max_loss=max_loss, keep_all=keep_all)

    def propose_labels(
        self,
        table: "str | os.PathLike[str]",
        column: str,
        *,
        accept: Sequence[str] = (),
        out: "str | os.PathLike[str] | None" = None,
    ) -> Records:
        """Propose a concept for each word in a column of one's own CSV table.

        Parameters
        ----------
        table : path
            The CSV file.
        column : str
            The column that holds the words.
        accept : sequence of str
            Decisions: "WORD=CONCEPT", "WORD>CONCEPT" where the concept is wider, "WORD<CONCEPT" where it is narrower, or
            "WORD=a+b" for one of several; "all" takes every concept that is likely as well.
        out : path, optional
            Write what is sure or decided to this labels.tsv of a private catalog; its rows stay.

        Returns
        -------
        Records
            A record a word, the commonest first; `applied` tells whether it has a row in the crosswalk, `certainty`
            whether it is sure, likely or open.

        Raises
        ------
        BadTable, UnknownName, UsageError
            For a table, column or decision that cannot be meant.

        """
        from dermdata.api.label_tables import propose_labels, write_crosswalk

        place = None if out is None else Path(out)
        proposed = propose_labels(self._resources, Path(table), column, accept, place)
        if place is not None:
            write_crosswalk(self._resources, place, proposed.labels)
        return proposed.records

    def export_labels(self, name: str) -> str:
        """Return a dataset's words and concepts as SSSOM, the mapping standard's TSV.

        Raises
        ------
        UsageError
            For a dataset without label words.

        """
        from dermdata.api.label_tables import export_sssom

        return export_sssom(self._resources, name)

    def review_labels(self, *names: str) -> Records:
        """Return the words whose concept a dermatologist should decide, and why.

        Parameters
        ----------
        *names : str
            Only of these datasets; of all unless told.

        Returns
        -------
        Records
            `dataset, field, raw_label, concept, name, count, reason`.

        """
        from dermdata.api.label_tables import list_doubts

        return list_doubts(self._resources, names)

    def diff_labels(self, old: "str | os.PathLike[str]", new: "str | os.PathLike[str]") -> Records:
        """Return what differs between the concepts, words and label spaces of two catalog folders.

        Returns
        -------
        Records
            `kind, what, name, raw_label, part, old, new`.

        Raises
        ------
        BadCatalog
            For a folder without labels, or with broken files.

        """
        from dermdata.api.label_tables import compare_catalogs

        return compare_catalogs(self._resources, Path(old), Path(new))

    def check_catalog(self, folder: "str | os.PathLike[str]") -> Records:
        """Check a catalog's folder, or one entry's, before it is used or handed in: `dermdata catalog check`.

        Parameters
        ----------
        folder : path
            It holds `datasets`, or `dataset.toml`.

        Returns
        -------
        Records
            `entry, level, file, line, place, problem`; `level` is "error" or "warning". `facts` have how many `entries`,
            `errors` and `warnings` there are.

        Raises
        ------
        UsageError
            For a folder that holds no entry.

        """
        from dermdata.api.catalog_check import check_catalog

        return check_catalog(self._resources, Path(folder))
