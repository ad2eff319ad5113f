"""Which rows of a manifest stay, and what their labels are called: filters, label spaces, duplicates, samples."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from dermdata.api.label_spaces import (
    ADDED,
    Differential,
    find_share,
    name_share,
    refuse,
    sources_of,
    space_of,
    words_of,
)
from dermdata.api.label_spaces import NEEDED as PROJECTED
from dermdata.api.manifest_rows import USED, ManifestRows
from dermdata.api.resources import Resources
from dermdata.api.results import Selected
from dermdata.api.targets import Loaded, load, make_near_finder
from dermdata.markup import count_nouns, count_share

if TYPE_CHECKING:
    from dermdata.api.manifest import Manifest

SPLITS = ("split", "split_official")
Dedupe = Literal["none", "id", "exact", "near"]


class SelectableRows(ManifestRows):
    """Rows of which some are chosen."""

    def select(
        self,
        *,
        where: str | None = None,
        split: str | None = None,
        labels: str | None = None,
        strict: bool = False,
        differential: Differential | None = None,
        min_weight: float | None = None,
        refine: Sequence[str] = (),
        dedupe: Dedupe = "none",
        sample: int | None = None,
        per_class: bool = False,
        seed: int = 0,
        show: Sequence[str] = (),
        allow_missing: bool = False,
    ) -> Selected:
        """Refine labels, name classes, filter, drop duplicates and sample, in this order.

        Parameters
        ----------
        where : str, optional
            Only rows of which this is true: SQL over the columns, and `diagnosis under 'concept'`.
        split : str, optional
            Only this part: of `split` where the rows have one, else of the publisher's `split_official`.
        labels : str, optional
            A label space, such as "malignancy", "ham7" or a file: adds the columns `label` and `label_reason`.
        strict : bool, default False
            Raise where a row has no class in the space.
        differential : {"all", "top", "weight>=W"}, optional
            A weighted differential has a class where all its weight lies in it, which is usual; "top": the heaviest.
            Without `labels` the heaviest concept becomes the diagnosis, with the match "close".
        min_weight : float, optional
            The heaviest class of a differential, if it has at least this share of the weight.
        refine : sequence of str
            Targets whose finer label of the same image (isic_id) is taken.
        dedupe : {"none", "id", "exact", "near"}
            Keep one row of each image: same isic_id, same bytes, or near duplicates too.
        sample : int, optional
            Keep so many rows, chosen by the hash of their keys.
        per_class : bool, default False
            So many of each class.
        seed : int, default 0
            Another seed, another sample.
        show : sequence of str
            Further columns that are to be at hand in the result.
        allow_missing : bool, default False
            Near duplicates are looked for without the images that are not found.

        Returns
        -------
        Selected

        Raises
        ------
        UsageError, UnknownName, BadTable
            For a condition, space or column that cannot be.
        ProblemsFound
            With `strict`, for rows without a class.
        ImagesMissing
            For images that must be compared and are not found.

        """
        from dermdata.cohort import NEEDED_COLUMNS, SelectionRequest, select_rows
        from dermdata.cohort.dedupe import describe_overlaps

        share = find_share(labels, differential, min_weight, alone=True)
        resolved = 1.0 if labels else share  # what the top of a differential needs to be a diagnosis
        some = (*show, *SPLITS)
        loaded, note = self._read_for_selection(some, where, refine, split, resolved, whole=dedupe != "none")
        sources = sources_of(loaded.table)
        given, rows = loaded.table.select(["dataset"]), [loaded.table]
        loaded = replace(
            loaded, table=given
        )  # the rows are handed over, so that they can go as they are sorted
        wanted = SelectionRequest(
            where=where,
            space=space_of(self._resources, labels) if labels else None,
            share=share,
            dedupe=None if dedupe == "none" else dedupe,
            sample=sample,
            per_class=per_class,
            seed=seed,
            near=make_near_finder(loaded, allow_missing=allow_missing),
        )
        finer = [load(self._resources, refine, NEEDED_COLUMNS).table] if refine else []
        words = words_of(self._resources, sources.union(*map(sources_of, finer)))
        vocabulary, others = self._resources.library.vocabulary, next(iter(finer), None)
        done = select_rows(rows.pop(), wanted, vocabulary, words, others)  # no `*`: that would hold the rows
        done.notes += describe_overlaps(loaded.rows(done.table)) if dedupe == "none" else ()
        asked = {
            "where": where, "split": split, "labels": labels, **name_share(share), "refine": ",".join(refine) or None,
            "dedupe": wanted.dedupe, "sample": sample, "per-class": per_class, "seed": sample and seed,
        }  # fmt: skip
        made = cast("Manifest", self._derive(loaded, done.table, "select", asked))  # whose method this is
        done.notes[:0] = note
        selected = Selected(made, done, given)
        if strict and labels:
            refuse(selected.unexpressed.items, labels)
        return selected

    def _read_for_selection(
        self,
        some: Sequence[str],
        where: str | None,
        refine: Sequence[str],
        split: str | None,
        resolved: float,
        *,
        whole: bool,
    ) -> tuple[Loaded, list[str]]:
        """The rows of a part with some columns and those that a condition and finer labels need; or `whole` ones.

        Which row says more, and what its ids are, is a matter of all columns; so is a diagnosis of a differential.
        """
        if whole or resolved < 1:
            loaded = self._read_columns(lambda names: names)
        else:
            loaded = self._read_columns(
                lambda names: (*some, *list_needed(self._resources, names, where, refine))
            )
        loaded, note = narrow_to_split(loaded, split)
        loaded, told = resolve_rows(self._resources, loaded, resolved)
        return loaded, [*note, *told]

    def where(self, condition: str) -> "Manifest":
        """Keep the rows of which the condition is true: `"age >= 60 and diagnosis under 'melanoma'"`."""
        return self._tell_selection(self.select(where=condition))

    def exclude(self, *images: "str | os.PathLike[str] | Sequence[str]") -> "Manifest":
        """Take images away that a list names; what is on it and not here is told.

        Parameters
        ----------
        *images : path or sequence of str
            An exclusion list, as `browse` writes it, or a file of keys; or the keys themselves.

        Returns
        -------
        Manifest

        Raises
        ------
        BadTable
            For a list that is not there or has wrong lines.

        """
        from dermdata.manifest.exclusions import DROP, exclude_rows, read_exclusions

        done: SelectableRows = self
        for one in images:
            is_file = isinstance(one, (str, os.PathLike))
            name = os.fspath(one) if is_file else "the keys"  # type: ignore[arg-type]  # told apart above
            listed = read_exclusions(Path(name)) if is_file else ()
            keys = [image.key for image in listed if image.action == DROP] if is_file else list(one)  # type: ignore[arg-type]
            loaded = done._read_columns(lambda _: USED)
            left = exclude_rows(loaded.table, keys)
            self._resources.say(left.describe(name))
            asked = {"exclude": name if is_file else f"{left.here} keys"}
            done = done._derive(loaded, left.table, "select", asked)
        return cast("Manifest", done)

    def narrow(
        self, where: str | None = None, split: str | None = None, exclude: Sequence[str] = ()
    ) -> "Manifest":
        """Keep the rows that the filters of all commands leave: a condition, a part, and lists of what is not wanted.

        Parameters
        ----------
        where : str, optional
            Only rows of which this is true.
        split : str, optional
            Only this part: train, val, test, …
        exclude : sequence of str
            Exclusion lists, whose images are taken away first.

        Returns
        -------
        Manifest
            Itself, where nothing is asked.

        Raises
        ------
        UnknownName, UsageError
            For a condition that cannot be, or a part that no row is of.

        """
        rows = self.exclude(*exclude)
        if where is None and split is None:
            return rows
        done = rows.select(where=where, split=split)
        for note in done.notes:  # which rows have no class was told by the step that gave the classes
            self._resources.say(note)
        return done.manifest

    def with_labels(
        self,
        space: str,
        *,
        strict: bool = False,
        differential: Differential | None = None,
        min_weight: float | None = None,
    ) -> "Manifest":
        """Name the class of each row in a label space, such as "malignancy" or "ham7"; the options are those of `select`."""
        done = self.select(labels=space, strict=strict, differential=differential, min_weight=min_weight)
        return self._tell_selection(done)

    def refine(self, *targets: str) -> "Manifest":
        """Take the finer label that the same image (isic_id) has in these targets."""
        return self._tell_selection(self.select(refine=targets))

    def dedupe(self, by: Dedupe = "id") -> "Manifest":
        """Keep one row of each image: same isic_id, same bytes ("exact"), or near duplicates too ("near")."""
        return self._tell_selection(self.select(dedupe=by))

    def sample(self, count: int, *, per_class: bool = False, seed: int = 0) -> "Manifest":
        """Keep so many rows, or so many of each class, chosen by the hash of their keys."""
        return self._tell_selection(self.select(sample=count, per_class=per_class, seed=seed))

    def _tell_selection(self, done: Selected) -> "Manifest":
        """The manifest of a selection; what was done is told."""
        for note in done.notes:
            self._resources.say(note)
        if done.conflicts:
            self._resources.say(
                f"{count_nouns(len(done.conflicts), 'image', 'have')} labels that cannot both be true"
            )
        if rows := sum(row["images"] for row in done.unexpressed):
            self._resources.say(f"{count_nouns(rows, 'row', 'have')} no class")
        return done.manifest


def resolve_rows(resources: Resources, loaded: Loaded, share: float) -> tuple[Loaded, list[str]]:
    """The rows with the diagnosis at the top of their differential, and how many have one now; as they are for 1."""
    if share >= 1:
        return loaded, []
    from dermdata.projection import resolve_differentials

    table, count = resolve_differentials(loaded.table, share, resources.library.vocabulary)
    least = f", where it has at least {share:g} of the weight" if share else ""
    note = f"{count_nouns(count, 'row', 'have')} the diagnosis at the top of their differential{least}"
    return replace(loaded, table=table), [note]


def narrow_to_split(loaded: Loaded, split: str | None) -> tuple[Loaded, list[str]]:
    """The rows of one part, and a note of it; all of them where no part is asked for."""
    if split is None:
        return loaded, []
    from dermdata.export.job import select_split

    table = select_split(loaded.table, split)
    note = f"{count_share(table.num_rows, loaded.table.num_rows, 'row', 'are')} of the part {split}"
    return replace(loaded, table=table), [note]


def load_narrowed(
    resources: Resources,
    targets: Sequence[str],
    where: str | None,
    split: str | None,
    exclude: Sequence[str] = (),
) -> Loaded:
    """The targets' rows that the filters of all commands leave, with all columns; what was left is told."""
    return SelectableRows.from_targets(resources, targets).narrow(where, split, exclude)._read_all()


def list_needed(
    resources: Resources, names: Sequence[str], where: str | None, refine: Sequence[str]
) -> Sequence[str]:
    """The columns that a selection without duplicates decides by; `names` are all that there are."""
    from dermdata.cohort import NEEDED_COLUMNS

    asked: Sequence[str] = ()
    if where:
        from dermdata.cohort import condition_columns  # here: the engine takes 0.1 s to import

        known = (*names, *ADDED, *NEEDED_COLUMNS)
        asked = condition_columns(where, known, resources.library.vocabulary)
    return (*USED, *PROJECTED, *ADDED, *(NEEDED_COLUMNS if refine else ()), *asked)
