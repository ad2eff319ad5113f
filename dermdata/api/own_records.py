"""A host's record in place of one's own files: looked into where it lies, and what of it an entry names."""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dermdata import __version__, disk
from dermdata.api.archive_search import ARCHIVE_PREFIX
from dermdata.api.fetch_dataset import open_surroundings
from dermdata.api.resources import Resources
from dermdata.errors import UsageError
from dermdata.markup import count_nouns

if TYPE_CHECKING:
    from dermdata.api.own_data import AddRequest, OwnData
    from dermdata.fetching.image_rows import ImageRows
    from dermdata.fetching.local import LocalFile
    from dermdata.fetching.record import SurveyedRecord
    from dermdata.inference.record_entry import RecordParts, RowFiles
    from dermdata.model import File, TableSpec

ARCHIVE_ENTRY = "isic-archive"  # the catalog's entry that knows the columns and words of the ISIC Archive
ARCHIVE_TABLE = "metadata.csv"  # what its records are written to


def survey_record(
    resources: Resources, request: "AddRequest", workplace: Path, endings: Sequence[str]
) -> "SurveyedRecord | None":
    """What a record states, and what lies in it; tables end so. Raises what a fetch from its host raises.

    None where no record is asked for.
    """
    if request.record is None:
        return None
    if request.placement == "link":
        raise UsageError(
            "the pictures of a record are downloaded: there is nothing to link", hint="leave out --link"
        )
    from dermdata.errors import NotTheFile, PersonMustAct, ServerRefused
    from dermdata.fetching.record import RecordSurvey, name_record
    from dermdata.hosts import state_record

    with resources.transfer() as transfer:
        context = open_surroundings(resources, transfer, [])
        try:
            facts = state_record(request.record, context)
        except (ServerRefused, PersonMustAct, NotTheFile) as error:
            name_record(error, request.name, None, None)
            raise
        say = resources.say
        survey = RecordSurvey(request.name, facts, context, transfer, workplace, say, tuple(endings))
        named = None if request.table is None else request.table.as_posix()
        found = survey.run(resources.settings.cache, named)
    if not facts.is_fixed and any(file.checksum is None for file in found.files.values()):
        say(f"warning: {facts.place} names neither version nor digests: later its host may give other files")
    if facts.license is None and facts.license_url is None:
        say(f"warning: {facts.page} states no license that can be read: ask before you use it")
    return found


def require_pictures(record: "SurveyedRecord | None", images: "Sequence[LocalFile]") -> None:
    """UsageError for a record without a picture; where files were left out, why."""
    if images or record is None:
        return
    if record.refusals:
        raise record.refusals[0]
    from dermdata.fetching.record import shorten

    names = sorted(one.name for one in record.files)
    raise UsageError(
        f"no picture lies in {record.facts.place}",
        hint=f"{count_nouns(len(names), 'file')} found: {shorten(names)}; see {record.facts.page}",
    )


def describe_files(data: "OwnData", images: "Sequence[LocalFile]") -> "RecordParts":
    """The files of the record that the entry names: archives with pictures, the table, loose pictures.

    `images` are those that rows name: what holds none of them is known, and not fetched.
    """
    from dermdata.inference.record_entry import RecordParts

    record = data.record
    assert record  # noqa: S101  # asked for those of a record only
    named, every = find_files(record, images), find_files(record, data.images)
    others = {name: leave_aside(file) for name, file in every.items() if name not in named}
    archives = {name: file for name, file in (named | others).items() if file.unpack}
    tables = find_files(record, [data.table.file] if data.table else [])
    archives |= {name: replace(file, role="metadata") for name, file in tables.items() if name not in named}
    return RecordParts(
        facts=record.facts,
        files=list(archives.values()),
        pictures=list_loose(named),
        unnamed=list_loose(others),
        member=find_member(data.table.file) if data.table else None,
        rows=describe_rows(record.rows),
    )


def describe_rows(rows: "ImageRows | None") -> "RowFiles | None":
    """What an entry says of files that hold rows and images."""
    from dermdata.inference.record_entry import RowFiles

    return RowFiles(has_split=rows.has_split, split_pattern=rows.split_pattern) if rows else None


def find_member(one: "LocalFile") -> str | None:
    """The path of what was found in the archive that holds it; None of what lies loose."""
    return one.member if one.within else None


def find_files(record: "SurveyedRecord", found: "Sequence[LocalFile]") -> "dict[str, File]":
    """The record's files that are, or hold, what was found, by name."""
    return {file.name: file for file in map(record.find_file, found)}


def list_loose(files: "Mapping[str, File]") -> "list[File]":
    """Those that are no archives."""
    return [file for file in files.values() if not file.unpack]


def leave_aside(file: "File") -> "File":
    """An archive of pictures that no row names."""
    return replace(file, fetch=False, note="no row of the table names a picture in it")


def write_file_table(folder: Path, record: "RecordParts | None") -> None:
    """Pictures that are too many for the entry itself, as files.tsv; an earlier entry's is taken away."""
    from dermdata.inference.record_entry import files_to_tsv

    path = folder / "files.tsv"
    if record and record.tabled_files:
        disk.write_chunks(path, [files_to_tsv(record.tabled_files).encode()])
    else:
        path.unlink(missing_ok=True)


# ------------------------------------------------------------------ the ISIC Archive


def is_archive_search(request: "AddRequest") -> bool:
    """Whether collections or a search of the ISIC Archive are to be added."""
    return (request.record or "").startswith(ARCHIVE_PREFIX)


def add_archive_search(resources: Resources, request: "AddRequest", folder: Path) -> list[dict[str, Any]]:
    """Write the entry of collections of the ISIC Archive: its records have columns that the catalog knows.

    UsageError where no image is found.
    """
    from dermdata.hosts import isic, state_record
    from dermdata.inference.record_entry import RecordParts

    place = request.record or ""
    with resources.transfer() as transfer:
        context = open_surroundings(resources, transfer, [])
        facts = state_record(place, context)
        query, collections = isic.parse_search(place.removeprefix(ARCHIVE_PREFIX))
        count = isic.count_images(query, collections, context)
    if not count:
        raise UsageError(f"the ISIC Archive has no image in {place}", hint=f"see {facts.page}")
    resources.say(f"{place}: {count_nouns(count, 'image')} in the archive")
    known = resources.catalog[ARCHIVE_ENTRY].table[0]
    if not request.dry_run:
        text = write_archive_entry(RecordParts(facts=facts, files=(), pictures=()), request.name, known)
        folder.mkdir(parents=True, exist_ok=True)
        disk.write_chunks(folder / "dataset.toml", [text.encode()])
    evidence = f"the layout of the ISIC Archive, as the catalog's {ARCHIVE_ENTRY} has it"
    return [
        {"field": name, "column": "/".join(columns), "score": 1.0, "taken": True, "evidence": evidence}
        for name, columns in known.columns.items()
    ]


def write_archive_entry(record: "RecordParts", name: str, known: "TableSpec") -> str:
    """The entry of images of the ISIC Archive, whose licenses stand in each row."""
    import tomlkit

    from dermdata.inference.record_entry import describe_record, describe_sources

    date, tool = datetime.datetime.now(datetime.UTC).date().isoformat(), f"dermdata {__version__}"
    keys = describe_record(record, name, date)
    license_ = {"statement": "each image has a license of its own, in the column license"}
    document = tomlkit.document()
    document.add(tomlkit.comment(f"Made by {tool} on {date}: read it, and correct what is wrong."))
    plain = {
        "name": name,
        **keys,
        "listing": record.facts.place,
        "words_of": ARCHIVE_ENTRY,
    }
    for key, value in sorted(plain.items(), key=lambda one: isinstance(one[1], dict)):
        document.add(key, tomlkit.item(value))
    document.add("license", tomlkit.item(license_))
    files = tomlkit.aot()
    files.append(tomlkit.item({"name": ARCHIVE_TABLE, "role": "metadata", "fetch": False}))
    document.add("files", files)
    tables = tomlkit.aot()
    tables.append(tomlkit.item(list_stated(known)))
    document.add("table", tables)
    facts = describe_sources(record, date, tool) | {
        "files": "the records of the archive, asked anew by each fetch; it publishes no digests",
        "table": f"as in the catalog's {ARCHIVE_ENTRY}",
    }
    document.add("facts", tomlkit.item(facts))
    return tomlkit.dumps(document)


def list_stated(spec: "TableSpec") -> dict[str, Any]:
    """The keys of a table that its entry states, as TOML has them."""
    stated = {one.name: getattr(spec, one.name) for one in fields(spec)}
    usual = type(spec)(reader=spec.reader)
    given = {key: value for key, value in stated.items() if key == "reader" or value != getattr(usual, key)}
    return {key: to_toml(value) for key, value in given.items()}


def to_toml(value: Any) -> Any:
    """A catalog value as TOML writes it: a list of one word is that word."""
    if isinstance(value, tuple):
        return value[0] if len(value) == 1 else list(value)
    return {key: to_toml(one) for key, one in value.items()} if hasattr(value, "items") else value
