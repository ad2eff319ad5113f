"""Fetches only the images of chosen rows: the tables first, then the choice, then those images and masks alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from dermdata.cache import Receipt
from dermdata.cache.records import Asked, Part
from dermdata.errors import ProblemsFound
from dermdata.fetching.assemble import Built, assemble, harmonized, read_tables
from dermdata.fetching.mend import looked_at, mend
from dermdata.fetching.plan import Plan, Wants
from dermdata.fetching.run import Ledger, Outcome, Workshop
from dermdata.fetching.scene import Scene, archives_of_images, archives_of_rows
from dermdata.manifest import Report
from dermdata.manifest.build import Maker, Source
from dermdata.manifest.match import ImageIndex
from dermdata.model import Content

NOT_KNOWN = frozenset(  # columns that only an image's own bytes fill
    {
        "path",
        "mask_path",
        "masks",
        "sha256",
        "bytes",
        "width",
        "height",
        "format",
        "mode",
        "image_problem",
        "phash",
        "verified",
        "split",
        "fold",
    }
)


HALF = 0.5  # of a dataset's rows: a lock that names as many is no small part of it


@dataclass(frozen=True, kw_only=True)
class Ask:
    """Which rows are wanted: in words, and as the function that takes them out of the whole table."""

    where: str | None
    limit: int | None
    choose: Callable[[pa.Table], pa.Table]
    # a lock's: of half of the rows on all come, none is no error, no archive is too large to come whole
    of_lock: bool = False

    def takes_all(self, rows: int, of: int, wants: Wants) -> bool:
        """Whether so many rows mean the whole dataset; of tables alone there is no more than what is here."""
        if self.of_lock:
            return wants.only != "metadata" and rows >= HALF * of
        return rows == of

    def record(self, wants: Wants) -> Asked:
        return Asked(where=self.where, limit=self.limit, roles=tuple(sorted(wants.roles)))


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The rows that were chosen, and what they need."""

    part: Part
    rows: int  # that this choice alone takes
    wanted: tuple[Content, ...]  # not here yet
    everything: bool  # the whole dataset is to be fetched instead


def is_done(receipt: Receipt | None, ask: Ask, wants: Wants, plan: Plan) -> bool:
    """Whether the very same was asked before, and all of it is here."""
    part = receipt.part if receipt else None
    return part is not None and plan.nothing and ask.record(wants) in part.asked


def run_part(plan: Plan, ask: Ask, workshop: Workshop, before: Receipt | None) -> Outcome | None:
    """Fetch the chosen rows' images on top of what is here; None when all rows are meant: that is a whole fetch.

    `plan` is the plan of the dataset's tables. ProblemsFound when no row is chosen.
    """
    folder = workshop.cache.folder(plan.dataset)
    folder.sweep()
    ledger = Ledger(plan, folder, workshop)
    scene = Scene(plan, folder, workshop, ledger, any_size=ask.of_lock)
    with ledger.at_work():
        choice = bring_chosen(scene, ask, before)
        if choice.everything:
            return None
        built = written(scene, choice.part, choice.wanted)
        ledger.let_archives_go()
        ledger.close(built, choice.part)
    workshop.cache.share(folder, jobs=workshop.jobs)
    return Outcome(
        manifest=folder.manifest, report=built.facts, downloaded=ledger.downloaded, part=choice.part
    )


def bring_chosen(scene: Scene, ask: Ask, before: Receipt | None) -> Choice:
    """The tables, the choice by them, and the chosen rows' files, unless these are all rows."""
    plan, folder, workshop, ledger = scene.plan, scene.folder, scene.workshop, scene.ledger
    try:
        scene.bring_tables()
        # before the choice: a broken table chooses wrongly, or not at all
        for content in mend(scene.plan, folder, workshop.transfer, workshop.resolve, workshop.progress):
            ledger.replace(content)
        with ledger.refusals():
            choice = chosen(scene, ask, before)
        for content in looked_at(plan, folder, workshop.jobs, workshop.progress):
            ledger.hold([content], 0)
        if not choice.everything:
            scene.bring(choice.wanted)
    except ProblemsFound:
        leave_tables(scene, before)
        raise
    finally:
        if ledger.changed:  # what is whole is noted even when something else failed
            ledger.save()
    return choice


def leave_tables(scene: Scene, before: Receipt | None) -> None:
    """Where nothing was chosen: what the tables brought is as whole as after `--only metadata`."""
    if scene.ledger.changed:
        scene.ledger.only_tables()
        part = before.part if before else None
        scene.ledger.close(written(scene, part, ()), part)


def written(scene: Scene, part: Part | None, wanted: Sequence[Content]) -> Built:
    """The manifest of the part; what was wanted and is not here is lost, with its reason."""
    lost = {one.path for one in wanted}
    return assemble(
        scene.dataset,
        scene.folder,
        scene.ledger.contents(),
        scene.workshop.library,
        scene.workshop.progress,
        scene.ledger.lost,
        scene.ledger.coverage,
        part,
        tuple(one for one in scene.elsewhere() if one.path not in lost),
    )


def foresee(plan: Plan, ask: Ask, workshop: Workshop, before: Receipt | None) -> tuple[Scene, Choice]:
    """What `run_part` would do; the workshop's cache is a place to read tables in, not the person's."""
    folder = workshop.cache.folder(plan.dataset)
    scene = Scene(plan, folder, workshop, Ledger(plan, folder, workshop), looks_only=True)
    scene.bring_tables()
    return scene, chosen(scene, ask, before)


# ------------------------------------------------------------------ choosing


def chosen(scene: Scene, ask: Ask, before: Receipt | None) -> Choice:
    """Choose rows by what the tables say of them, and find their files by the archives' directories."""
    scene.look_into(archives_of_rows(scene.dataset))
    sources = read_tables(scene.dataset, scene.opener, scene.contents())
    table = whole_table(scene, sources)
    rows = ask.choose(table.drop_columns(sorted(NOT_KNOWN)))["image_id"]
    if not len(rows) and not ask.of_lock:
        raise ProblemsFound(
            f"{scene.dataset.name}: none of {table.num_rows:,} rows is chosen, no image was fetched",
            hint=f"`dermdata stats {scene.dataset.name} --by diagnosis` shows what there is",
        )
    kept = rows_here(table, before, scene)
    mine = pc.is_in(table["image_id"], rows.combine_chunks())
    part = Part(
        asked=asked(ask.record(scene.plan.wants), before),
        rows=tuple(table.filter(pc.or_(mine, kept))["image_id"].to_pylist()),
        of=table.num_rows,
    )
    if ask.takes_all(len(rows), table.num_rows, scene.plan.wants):
        return Choice(part=part, rows=len(rows), wanted=(), everything=True)
    scene.look_into(archives_needed(scene, sources, rows))
    return Choice(part=part, rows=len(rows), wanted=wanted(scene, sources, rows), everything=False)


def whole_table(scene: Scene, sources: Sequence[Source]) -> pa.Table:
    library, lost = scene.workshop.library, scene.ledger.lost
    table, _ = harmonized(scene.dataset, sources, scene.contents(), library, lost)
    return table


def asked(record: Asked, before: Receipt | None) -> tuple[Asked, ...]:
    earlier = before.part.asked if before and before.part else ()
    return (*(one for one in earlier if one != record), record)


def rows_here(table: pa.Table, before: Receipt | None, scene: Scene) -> pa.Array:
    """Which rows stay: those of earlier partial fetches; else those whose image or mask is here."""
    if before and before.part:
        return pc.is_in(table["image_id"], pa.array(before.part.rows, pa.string()))
    here = pa.array([one.path for one in scene.ledger.contents()], pa.string())
    return pc.or_(pc.is_in(table["path"], here), pc.is_in(table["mask_path"], here))


def archives_needed(scene: Scene, sources: Sequence[Source], rows: pa.ChunkedArray) -> set[str]:
    """The archives in which the chosen rows' images and masks may be."""
    names: set[str] = set()
    for source in sources:
        if len(sources) == 1 or pc.any(pc.is_in(ids_of(scene, source), rows.combine_chunks())).as_py():
            names |= archives_of_images(scene.dataset, source.spec)
    return names


def ids_of(scene: Scene, source: Source) -> pa.Array:
    """The image ids of one table."""
    library, dataset = scene.workshop.library, scene.dataset
    words = (library.crosswalk(dataset), library.vocabulary, library.body_sites)
    return Maker(dataset, source, ImageIndex(()), *words, Report()).ids()


def wanted(scene: Scene, sources: Sequence[Source], rows: pa.ChunkedArray) -> tuple[Content, ...]:
    """The files of these rows that are not here."""
    table = whole_table(scene, sources)
    paths = paths_of(table.filter(pc.is_in(table["image_id"], rows.combine_chunks())))
    return tuple(one for one in scene.elsewhere() if one.path in paths)


def paths_of(table: pa.Table) -> set[str]:
    """Images, masks and further masks."""
    plain = {path for name in ("path", "mask_path") for path in table[name].to_pylist() if path}
    return plain | {path for masks in table["masks"].to_pylist() if masks for _, path in masks}
