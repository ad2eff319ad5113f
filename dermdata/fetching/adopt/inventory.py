"""What one dataset's search works on: what is wanted, what was given, what is there already or found so far."""

from dataclasses import replace
from itertools import chain

import pyarrow as pa

from dermdata import readers
from dermdata.cache import Folder
from dermdata.fetching.adopt.given import Found, Given
from dermdata.fetching.adopt.pictures import Harvest
from dermdata.fetching.adopt.tables import Tables, parts_of
from dermdata.fetching.adopt.values import Planner, content_of
from dermdata.fetching.adopt.wholes import Search
from dermdata.fetching.assemble import opener, path_of
from dermdata.fetching.ingest import home_of, is_image, role_of
from dermdata.fetching.plan import Plan
from dermdata.manifest.match import Names
from dermdata.model import Content, Dataset, File, Table


class Inventory:
    """Files by what they stand for: the cache's, those given whole, and the pieces found so far."""

    def __init__(self, dataset: Dataset, given: Given, planner: Planner, folder: Folder) -> None:
        self.dataset, self.given, self.folder = dataset, given, folder
        self.planner = planner
        self.plan = self.planned(dataset)
        self.parts, self.tables = parts_of(dataset), Tables(given)
        self.search = Search(given, dataset, self.parts, self.tables)
        self.harvest = Harvest(given)
        have = {one.name for one in self.plan.have}
        self.cached = tuple(one for one in (folder.contents() if have else ()) if one.file in have)
        self.earlier = [one for file in self.plan.download for one in self.from_earlier(file)]

    def planned(self, dataset: Dataset) -> Plan:
        """What is missing; a file that is broken in part counts as missing, since no range is asked for."""
        plan = self.planner(dataset)
        receipt = None if plan.wants.force else self.folder.receipt()
        again = {one.file for one in plan.mend} | set(receipt.lost if receipt else ())
        files = [one for one in dataset.files if one in plan.download or one.name in again]
        have = tuple(one for one in plan.have if one.name not in again)
        return replace(plan, download=tuple(files), mend=(), have=have)

    def from_earlier(self, file: File) -> list[Found]:
        """What an earlier, incomplete copy brought of an archive."""
        receipt = None if self.plan.wants.force else self.folder.receipt()
        before = receipt.file(file.name) if receipt else None
        whole = before is None or not before.remade
        home = self.folder.path / home_of(file)
        return [] if whole or not home.is_dir() else list(self.given.files(home))

    # -------------------------------------------------------------- what there is

    def candidates(self) -> list[Found]:
        """All files that were given, but for those in archives that are taken as a whole."""
        inside = {one for found, _ in self.search.wholes.values() for one in self.given.opened.get(found, ())}
        return [one for one in (*self.given.all(), *self.earlier) if one not in inside]

    def contents(self) -> tuple[Content, ...]:
        """Everything that the cache holds or would hold, by name."""
        found = chain.from_iterable(self.whole_contents(name) for name in self.search.wholes)
        return (*self.cached, *found, *self.harvest.contents())

    def whole_contents(self, name: str) -> list[Content]:
        file, (found, _) = self.dataset.file(name), self.search.wholes[name]
        if file.unpack is None:
            return [replace(content_of(found, name, name, file.role), member=None)]
        members = [(one, one.member) for one in self.given.members(found)]
        return [content_of(one, name, path, role_of(path, file)) for one, path in members]

    def there(self, role: str) -> Names:
        return Names(one for one in self.contents() if one.role == role and is_image(one.official))

    def archives(self) -> list[File]:
        """The archives that were not given whole."""
        return [one for one in self.plan.download if one.unpack and one.name not in self.search.wholes]

    def holders(self, spec: Table) -> list[File]:
        """The archives that a table's images may be pieces of."""
        every = [one for one in self.archives() if one.role == "images"]
        return [one for one in every if not spec.images or one.name in spec.images]

    def mask_holders(self) -> list[File]:
        return [one for one in self.archives() if "masks" in (one.role, *one.members.values())]

    # -------------------------------------------------------------- tables

    def opened(self, file: str, member: str | None) -> bytes:
        """A table's bytes, as readers ask for them."""
        if any(one.file == file for one in self.cached):
            return opener(self.folder, self.cached)(file, member)
        path = path_of(file, member, self.contents())
        if file in self.search.wholes and member is None:
            return self.given.read(self.search.wholes[file][0])
        pieces = self.harvest.pieces.get(file, {}).values()
        if file in self.search.wholes:
            return self.given.read(self.member(file, path))
        return self.given.read(next(one.found for one in pieces if one.content(file).path == path))

    def member(self, file: str, path: str) -> Found:
        whole, _ = self.search.wholes[file]
        return next(
            one for one in self.given.members(whole) if one.entry and f"{file}/{one.entry.name}" == path
        )

    def rows(self, spec: Table) -> pa.Table:
        return readers.read(spec, self.opened, self.contents()).rows
