"""The addresses of `browse`: the page, and JSON answers about rows; a row is named by its number, never by a path."""

import json
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

import numpy as np
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dermdata.browse.guard import say
from dermdata.browse.index import GROUP_TITLES, GROUPS, PREDICTIONS_HINT, PictureIndex, PictureQuery
from dermdata.browse.pictures import NoPicture, PictureStore
from dermdata.browse.questions import read_marks, read_number, read_query
from dermdata.browse.similar import compare_pictures, find_near
from dermdata.errors import BadTable, DermdataError, StorageError, UsageError
from dermdata.manifest.exclusions import ExclusionFile

MOST_ROWS = 500  # of one answer
MOST_RELATED = 60
MOST_GROUPS = 40  # of a facet that have a matrix of their own
MOST_BYTES = 4 << 20  # of a request
NO_NAME = "a list names images by dataset/image_id on one line, and these rows have no such name"
ASSETS = {
    "browse.css": "text/css",
    "browse.js": "text/javascript",
    "grid.js": "text/javascript",
    "icon.svg": "image/svg+xml",
    "picture.js": "text/javascript",
    "state.js": "text/javascript",
}
STATUSES = (  # the first class that an error is of
    (BadTable, 500),  # a manifest or a list that is not what it was
    (UsageError, 400),
    (StorageError, 507),
)
BUG_HINT = "the terminal in which `dermdata browse` runs says more; ask for something else meanwhile"
KEEP = {"cache-control": "private, max-age=3600"}


@dataclass
class Browsing:
    """All that the page is about."""

    index: PictureIndex
    pictures: PictureStore
    exclusions: ExclusionFile
    read_fields: Callable[[int], list[dict[str, Any]]]  # a row's columns with their meaning
    facts: Mapping[str, Any]  # title, version, datasets, history, labels
    interrupt: Callable[[], None] = lambda: None  # ends what is being judged
    session: str = field(default_factory=lambda: secrets.token_hex(4))  # so that no old picture is shown

    def __post_init__(self) -> None:
        self._marking = threading.Lock()
        self.index.mark_keys(list(self.exclusions.keys))

    # ------------------------------------------------------------------ answers

    def view(self) -> dict[str, Any]:
        """What there is to look at."""
        index, predictions = self.index, self.index.predictions
        return {
            **self.facts,
            "session": self.session,
            "rows": len(index),
            "facets": [
                {"name": one.name, "title": one.title, "kind": one.kind} for one in index.facets.values()
            ],
            "sorts": [{"name": name, "title": title} for name, title in index.sorts.items()],
            "groups": [{"name": name, "title": GROUP_TITLES[name]} for name in index.groups],
            "predictions": {"classes": list(predictions.classes)} if predictions else None,
            "exclusions": self.describe_marks(),
        }

    def describe_marks(self) -> dict[str, Any]:
        """Where the list is, what keeps it from being read, how many rows are marked, and how many can never be."""
        return {
            "path": str(self.exclusions.path),
            "problem": self._refresh_marks(),
            "count": int(self.index.marks.rows.sum()),
            "unnamed": self.index.table["key"].null_count,
        }

    def _refresh_marks(self) -> str | None:
        """Take over what others have written to the list; why that cannot be."""
        try:
            with self._marking:
                if self.exclusions.refresh():
                    self.index.mark_keys(list(self.exclusions.keys))
        except DermdataError as error:  # the marks stay as they were, and the page goes on
            return error.message
        return None

    def rows(self, query: PictureQuery, asked: Mapping[str, str]) -> dict[str, Any]:
        """A page of the grid."""
        start, count = read_number(asked, "start", 0), min(read_number(asked, "count", 100), MOST_ROWS)
        group = asked.get("group") or None
        if group and group not in self.index.groups:
            raise UsageError(f"there is no group {group}", hint=f"groups are {', '.join(self.index.groups)}")
        sort = asked.get("sort") or "manifest"
        if sort.removeprefix("-") not in self.index.sorts:
            raise UsageError(f"there is no order {sort}", hint=f"orders are {', '.join(self.index.sorts)}")
        found = self.index.order_rows(query, sort, group)
        items = self.index.describe_rows(found[start : start + count], group)
        return {"total": len(found), "start": start, "items": items}

    def picture(self, row: int) -> dict[str, Any]:
        """One picture with all that is known of it.

        Parameters
        ----------
        row : int
            The picture.

        Returns
        -------
        dict
            What the grid has of it; `fields`; `lesion`, `patient` and `near`: other pictures of any dataset that is looked
            at, at most MOST_RELATED of each, and `totals`: how many there are; those of `near` have besides `distance`
            (bits), `how` and `leaks` (whether they are in another part of the split); `near_state`; `masks`;
            `probabilities`; `issue`: why it is marked.

        """
        index = self.index
        [shown] = index.describe_rows([row])
        near = find_near(index.table, row)
        alike = index.describe_rows([other for other, _, _ in near[:MOST_RELATED]])
        related = {
            group: index.find_group(row, group) if group in index.groups else np.empty(0, int)
            for group in GROUPS
        }
        return {
            **shown,
            "fields": self.read_fields(row),
            **{group: index.describe_rows(rows[:MOST_RELATED]) for group, rows in related.items()},
            "totals": {**{group: len(rows) for group, rows in related.items()}, "near": len(near)},
            "near": [
                {**tile, "distance": distance, "how": how, "leaks": leaks(shown, tile)}
                for tile, (_, distance, how) in zip(alike, near, strict=False)
            ],
            "near_state": "done" if index.table["phash"][row].is_valid else "no hash",
            "masks": [
                {"number": number, "title": title}
                for number, (title, _) in enumerate(self.pictures.list_masks(row))
            ],
            "probabilities": self.probabilities(row),
            "issue": self._find_issue(row, self.exclusions.keys),
        }

    def pair(self, row: int, other: int) -> dict[str, Any]:
        """Two pictures side by side.

        Parameters
        ----------
        row, other : int
            Any two rows.

        Returns
        -------
        dict
            `pictures`: both, as the grid has them; `distance` (of 64 bits of their hashes) and `how` (`same bytes`,
            `alike`, `perhaps alike`), None where that is not known or they are not alike; `same`: whether they have one
            `dataset`, `lesion`, `patient`, `split` and `label` (None where one of them does not state it); `fields`: of
            each field that one of them has `name`, `note`, `values` (None where it has none) and whether they are `same`.

        """
        pictures = self.index.describe_rows([row, other])
        distance, how = compare_pictures(self.index.table, row, other)
        return {
            "pictures": pictures,
            "distance": distance,
            "how": how,
            "same": self.index.compare_rows(row, other) | compare_words(pictures),
            "fields": join_fields(self.read_fields(row), self.read_fields(other)),
        }

    def probabilities(self, row: int) -> list[dict[str, Any]]:
        """What the model says of a row, the likeliest class first."""
        one = self.index.predictions
        if one is None or one.scores is None or one.places[row] < 0:
            return []
        scores = one.scores[one.places[row]]
        order = np.argsort(-scores, kind="stable").tolist()
        return [{"class": one.classes[code], "probability": round(float(scores[code]), 4)} for code in order]

    def confusion(self, query: PictureQuery, by: str | None = None) -> dict[str, Any]:
        """How many rows of each true class were taken for each class; with `by`, of each value of a facet as well.

        Parameters
        ----------
        query : PictureQuery
            The rows that are counted.
        by : str or None
            The name of a facet.

        Returns
        -------
        dict
            `classes`; `matrix` (a line for each true class, a column for each predicted one), `n` (rows judged), `right`
            and `accuracy` (`right / n`; None where nothing was judged); `by` (`name` and `title` of the facet, or None);
            `groups`: of each value of the facet `value`, `title`, `depth` (of a tree), `matrix`, `n`, `right` and
            `accuracy`, in the facet's order, those with no judged row left out; `more`: how many smaller groups there
            are beyond MOST_GROUPS.

        """
        one = self.index.predictions
        if one is None:
            raise UsageError("there are no predictions", hint=PREDICTIONS_HINT)
        rows = self.index.find_rows(query)
        answer = {"classes": list(one.classes), **one.judge_rows(rows), "by": None, "groups": [], "more": 0}
        if by is None:
            return answer
        facet = self.index.facets[require_facet(self.index, by)]
        groups, more = one.judge_groups(facet, rows, MOST_GROUPS)
        return {**answer, "by": {"name": facet.name, "title": facet.title}, "groups": groups, "more": more}

    def marked(self) -> dict[str, Any]:
        """The rows that are marked."""
        rows = np.flatnonzero(self.index.marks.rows)[:MOST_ROWS]
        issues = self.exclusions.keys
        tiles = self.index.describe_rows(rows)
        return {
            **self.describe_marks(),
            "items": [
                {"row": tile["row"], "key": tile["key"], "issue": self._find_issue(tile["row"], issues) or ""}
                for tile in tiles
            ],
        }

    def _find_issue(self, row: int, issues: Mapping[str, str]) -> str | None:
        """Why a row is marked; None where it is not."""
        names = (str(self.index.table["key"][row].as_py()), *self.index.list_other_names([row]))
        return next((issues[name] for name in names if name in issues), None)

    def mark(self, asked: Any) -> dict[str, Any]:
        """Mark rows, or take their marks away; the list on disk is written before this answers.

        Parameters
        ----------
        asked : dict
            `rows` (numbers), `marked` (True or False), `issue` (what is wrong), and `again`: True for marks that were
            taken away before, which get back what stood on the list.

        Returns
        -------
        dict
            What `describe_marks` says; `refused`: how many of the rows a list cannot name, and `reason`: why; `others`:
            how many rows more have the same key as one of them, and so the same mark.

        """
        rows, marked, issue, again = read_marks(asked, len(self.index))
        names, refused = self.index.name_rows(rows)
        other_names = self.index.list_other_names(rows)
        with self._marking:
            if not marked:
                self.exclusions.unmark([*names, *other_names])
            elif again:
                self.exclusions.restore(names, issue, other_names)
            else:
                self.exclusions.mark(names, issue)
            self.index.mark_keys(list(self.exclusions.keys))
        return {
            **self.describe_marks(),
            "refused": refused,
            "reason": NO_NAME if refused else None,
            "others": max(0, self.index.count_named(names) - len(set(rows)) + refused),
        }


def leaks(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two pictures are in different parts of the split, of whatever datasets they are."""
    return bool(one["split"] and other["split"] and one["split"] != other["split"])


def compare_words(pictures: Sequence[Mapping[str, Any]]) -> dict[str, bool | None]:
    """Whether two pictures have the same words; None where one has none."""
    one, other = pictures
    names = ("dataset", "split", "label")
    return {name: one[name] == other[name] if one[name] and other[name] else None for name in names}


def join_fields(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The fields of two pictures side by side, in the order of the first one's, then those that only the other has."""
    sides = [{one["name"]: one["value"] for one in fields} for fields in (ours, theirs)]
    notes = {one["name"]: one["note"] for one in (*ours, *theirs)}
    values = {name: [side.get(name) for side in sides] for name in notes}
    return [
        {"name": name, "note": notes[name], "values": both, "same": both[0] == both[1]}
        for name, both in values.items()
    ]


# ------------------------------------------------------------------ routes


def make_app(browsing: Browsing) -> Starlette:
    """The application; `Guard` stands before it."""
    routes = [
        Route("/", lambda _: asset("browse.html", "text/html")),
        Route("/static/{name}", send_asset),
        Route("/api/view", lambda _: JSONResponse(browsing.view())),
        Route("/api/facets", lambda request: JSONResponse(count(browsing, request))),
        Route("/api/facets/{name}", lambda request: JSONResponse(search_facet(browsing, request))),
        Route("/api/rows", lambda request: JSONResponse(browsing.rows(*split_request(request)))),
        Route("/api/confusion", lambda request: JSONResponse(count_cells(browsing, request))),
        Route(
            "/api/picture/{row:int}",
            lambda request: JSONResponse(browsing.picture(row_of(browsing, request))),
        ),
        Route("/api/pair/{row:int}/{other:int}", lambda request: JSONResponse(pair(browsing, request))),
        Route("/api/marks", lambda _: JSONResponse(browsing.marked()), methods=["GET"]),
        Route("/api/marks", mark_route(browsing), methods=["POST"]),
        Route("/thumb/{row:int}", lambda request: jpeg(browsing.pictures.small(row_of(browsing, request)))),
        Route("/image/{row:int}", lambda request: jpeg(browsing.pictures.large(row_of(browsing, request)))),
        Route("/mask/{row:int}/{number:int}", lambda request: send_overlay(browsing, request)),
    ]
    handlers: dict[Any, Any] = {
        DermdataError: tell_error,
        NoPicture: tell_no_picture,
        HTTPException: tell_status,
        Exception: tell_bug,
    }
    return Starlette(routes=routes, exception_handlers=handlers)


def split_request(request: Request) -> tuple[PictureQuery, Mapping[str, str]]:
    """The rows that a request asks for, and all that it says."""
    return read_query(request.query_params), request.query_params


def count(browsing: Browsing, request: Request) -> dict[str, Any]:
    """The facets under a query."""
    query = split_request(request)[0]
    total = int(browsing.index.find_rows(query).sum())
    return {"total": total, "facets": browsing.index.count_facets(query)}


def search_facet(browsing: Browsing, request: Request) -> dict[str, Any]:
    """The values of one facet whose title contains the text `find`, under a query: for facets that have `more`."""
    query, asked = split_request(request)
    name = require_facet(browsing.index, request.path_params["name"])
    return browsing.index.search_facet(query, name, asked.get("find", "").strip())


def require_facet(index: PictureIndex, name: str) -> str:
    """The name of a facet; UsageError where it is none."""
    if name not in index.facets:
        raise UsageError(f"there is no facet {name}", hint=f"facets are {', '.join(index.facets)}")
    return name


def count_cells(browsing: Browsing, request: Request) -> dict[str, Any]:
    """The confusion matrix under a query, and by a facet where one is named."""
    query, asked = split_request(request)
    return browsing.confusion(query, asked.get("by") or None)


def pair(browsing: Browsing, request: Request) -> dict[str, Any]:
    """Two pictures side by side."""
    return browsing.pair(row_of(browsing, request), row_of(browsing, request, "other"))


def row_of(browsing: Browsing, request: Request, name: str = "row") -> int:
    """The row that an address names."""
    row: int = request.path_params[name]
    if not 0 <= row < len(browsing.index):
        raise HTTPException(404, "there is no such row")
    return row


def mark_route(browsing: Browsing) -> Callable[[Request], Any]:
    """Takes a request's JSON."""

    async def mark(request: Request) -> Response:
        size = request.headers.get("content-length", "")
        if not size.isdecimal() or int(size) > MOST_BYTES:
            raise HTTPException(413, "too many bytes")
        try:
            asked = json.loads(await request.body())
        except (ValueError, RecursionError):
            raise UsageError("the request is no JSON") from None
        return JSONResponse(await run_in_threadpool(browsing.mark, asked))  # a disk may be slow

    return mark


def jpeg(data: bytes) -> Response:
    """A picture; its address has the session in it, so that it may be kept."""
    return Response(data, headers=KEEP, media_type="image/jpeg")


def send_overlay(browsing: Browsing, request: Request) -> Response:
    """A mask."""
    data = browsing.pictures.overlay(row_of(browsing, request), request.path_params["number"])
    return Response(data, headers=KEEP, media_type="image/png")


def send_asset(request: Request) -> Response:
    """A file of the page; only those that are listed."""
    name = request.path_params["name"]
    if name not in ASSETS:
        raise HTTPException(404, "there is no such file")
    return asset(name, ASSETS[name])


def asset(name: str, kind: str) -> Response:
    """A file of this package."""
    return Response(files("dermdata.browse").joinpath("templates", name).read_bytes(), media_type=kind)


def tell_error(_: Request, error: Exception) -> Response:
    """What a person asked for and cannot have, or what is wrong here: with the cause and the next step."""
    status = next((status for kind, status in STATUSES if isinstance(error, kind)), 500)
    return say(status, getattr(error, "message", str(error)), getattr(error, "hint", None))


def tell_bug(_: Request, error: Exception) -> Response:
    """A fault of ours; what it is stands on stderr."""
    return say(500, f"a fault of dermdata: {type(error).__name__}", BUG_HINT)


def tell_no_picture(_: Request, error: Exception) -> Response:
    """Why there is no picture."""
    return say(404, str(error))


def tell_status(_: Request, error: Exception) -> Response:
    """What HTTP itself refuses."""
    status = getattr(error, "status_code", 500)
    return say(status, getattr(error, "detail", str(error)))
