"""Rows of an answer, such as counts, findings or metrics: for a loop, for pandas, or for a notebook cell."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

from dermdata.markup import count_nouns

if TYPE_CHECKING:
    import pandas as pd

Item = Mapping[str, Any]


class Records(Sequence[Item]):
    """The rows of an answer, each a mapping with the same keys; `facts` hold what is true of all of them.

    Parameters
    ----------
    items : sequence of mapping
        The rows, in the order in which the command line prints them.
    columns : sequence of str
        Their keys, which are the command line's JSON keys.
    facts : mapping, optional
        What the command line's JSON has beside `items`.

    """

    def __init__(self, items: Sequence[Item], columns: Sequence[str], facts: Item | None = None) -> None:
        self.items = list(items)
        self.columns = tuple(columns)
        self.facts = dict(facts or {})

    @overload
    def __getitem__(self, place: int) -> Item: ...
    @overload
    def __getitem__(self, place: slice) -> "Records": ...
    def __getitem__(self, place: int | slice) -> "Item | Records":
        if isinstance(place, slice):
            return Records(self.items[place], self.columns, self.facts)
        return self.items[place]

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Item]:
        return iter(self.items)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Records) and (self.items, self.facts) == (other.items, other.facts)

    __hash__ = None  # type: ignore[assignment]  # its items may be changed

    def __repr__(self) -> str:
        return f"<{count_nouns(len(self.items), 'record')} of {', '.join(self.columns)}>"

    def to_pandas(self) -> "pd.DataFrame":
        """Return the rows as a data frame, a column a key.

        Returns
        -------
        pandas.DataFrame
            As many rows as there are items, in their order.

        """
        import pandas as pd

        rows = [{name: item.get(name) for name in self.columns} for item in self.items]
        return pd.DataFrame(rows, columns=list(self.columns))

    def _repr_html_(self) -> str:
        return str(self.to_pandas().to_html(max_rows=20, escape=True, notebook=True))
