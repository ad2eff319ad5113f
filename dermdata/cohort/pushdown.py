"""What a condition demands of a source's own fields, so that its host can be asked for fewer records.

A field has few words, and alone decides some columns of the manifest. Each part of the condition that reads only those
is judged by the engine that judges rows, for each of the field's words; all else counts as possibly true. So what comes
out admits every row for which the condition is true, and perhaps more.
"""

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import duckdb
import pyarrow as pa

from dermdata.cohort.condition_syntax import rewrite_under, tokenize
from dermdata.cohort.where import (
    ROW_NUMBER,
    check_condition,
    expression_nodes,
    open_cursor,
    parse_condition,
    watch_limits,
)
from dermdata.vocabulary import Vocabulary

MOST_ALTERNATIVES = 24
FLIPPED = {"CONJUNCTION_AND": "CONJUNCTION_OR", "CONJUNCTION_OR": "CONJUNCTION_AND"}
ID_FIELD = "isic_id"
ID_COLUMNS = frozenset({"image_id", "key", "isic_id"})
NEVER_DECIDED = {*ID_COLUMNS, "extra"}  # by a field other than the id
NUMBERED = f'SELECT "{ROW_NUMBER}", 1 FROM images'  # noqa: S608  # all of it is ours
MEMBERSHIPS = ("COMPARE_EQUAL", "COMPARE_IN")


@dataclass(frozen=True)
class Admitted:
    """What a field may be: some of its words, and perhaps whatever is none of those that are known, or nothing."""

    words: frozenset[str]
    others: bool = False

    def __and__(self, other: "Admitted") -> "Admitted":
        return Admitted(self.words & other.words, self.others and other.others)

    def __or__(self, other: "Admitted") -> "Admitted":
        return Admitted(self.words | other.words, self.others or other.others)

    def __bool__(self) -> bool:
        return bool(self.words) or self.others


Alternative = Mapping[str, Admitted]  # field -> what it must be; a field that is absent may be anything


@dataclass(frozen=True)
class Demand:
    """What must be true of a source's fields for a condition to be true: all that one of the alternatives says."""

    alternatives: tuple[Alternative, ...]  # none: nothing can be; one that is empty: anything
    is_whole: bool  # whatever meets it meets the condition, as far as words are known


@dataclass(frozen=True, kw_only=True)
class ProbedField:
    """A field of the source, and a manifest row for each of its words."""

    name: str
    words: tuple[str, ...]
    rows: pa.Table  # the first is of no word at all, then one for each word
    decided: frozenset[str]  # columns that have something of these words only, nothing of any other
    passed_on: frozenset[str]  # columns that say the word itself, whatever it is

    def select_columns(self, names: Collection[str]) -> pa.Table:
        """The columns of these names, which are in lower case."""
        return self.rows.select([one for one in self.rows.column_names if one.lower() in names])

    def list_meanings(self, columns: Collection[str]) -> set[str]:
        """What the probes have in these columns."""
        cells = (cell for column in self.select_columns(columns) for cell in column.to_pylist())
        return {str(cell) for cell in cells if cell is not None}

    def demand(self, admitted: "Admitted") -> "list[Alternative]":
        """What it is to admit so much: no alternative for nothing, one that demands nothing for everything."""
        if admitted == Admitted(frozenset(self.words), others=True):
            return [{}]
        return [{self.name: admitted}] if admitted else []


def probe_fields(table: pa.Table, words: Mapping[str, Sequence[str]]) -> tuple[ProbedField, ...]:
    """The fields of a table of probes: a row without any word, then of each field one of a strange word and its own."""
    nothing, start = table.slice(0, 1), 1
    found: list[tuple[str, pa.Table, set[str]]] = []
    for name, its in words.items():
        part = table.slice(start, 1 + len(its))
        found.append((name, part, list_changed(part, nothing)))
        start += 1 + len(its)
    owners = Counter(column for _, _, changed in found for column in changed)
    several = {column for column, count in owners.items() if count > 1} | NEVER_DECIDED
    return tuple(
        probe_field(name, words[name], part, nothing, changed - several) for name, part, changed in found
    )


def probe_field(
    name: str, words: Sequence[str], part: pa.Table, nothing: pa.Table, columns: set[str]
) -> ProbedField:
    """A field that alone decides these columns, of its rows of a strange word and of each of its own."""
    passed_on = columns & list_changed(part.slice(0, 1), nothing)
    return ProbedField(
        name=name,
        words=tuple(words),
        rows=pa.concat_tables([nothing, part.slice(1)]),
        decided=frozenset(columns - passed_on),
        passed_on=frozenset(passed_on),
    )


def list_changed(rows: pa.Table, nothing: pa.Table) -> set[str]:
    """The columns in which one of these rows is not as the row of no word."""
    usual = nothing.to_pylist()[0]
    return {name for name in rows.column_names if any(one != usual[name] for one in rows[name].to_pylist())}


def probe_ids(table: pa.Table, words: Sequence[str]) -> ProbedField:
    """The id of a record, of a table of one row without any of these words and one for each."""
    return ProbedField(
        name=ID_FIELD, words=tuple(words), rows=table, decided=frozenset(), passed_on=ID_COLUMNS
    )


def list_constants(condition: str) -> tuple[str, ...]:
    """The words in single quotes of a condition."""
    return tuple(dict.fromkeys(one.word for one in tokenize(condition) if one.kind == "string"))


def find_demand(
    condition: str, names: Sequence[str], fields: Sequence[ProbedField], vocabulary: Vocabulary
) -> Demand:
    """What a condition over the columns `names` demands of the fields.

    Parameters
    ----------
    condition : str
        SQL, with `diagnosis under 'concept'`.
    names : sequence of str
        The columns of the rows that it will judge.
    fields : sequence of ProbedField
        What is known of the source's fields.
    vocabulary : Vocabulary
        Where concepts lie.

    Returns
    -------
    Demand
        True of each row for which the condition is true.

    Raises
    ------
    UnknownName, UsageError
        As of `filter_rows`.

    """
    query = rewrite_under(condition, vocabulary)
    with open_cursor() as connection, watch_limits(connection):
        check_condition(connection, query, names)
        (tree,) = parse_condition(connection, query)
        judge = ConditionJudge(connection, fields)
        found = judge.find_alternatives(tree)
        return Demand(tuple(found), judge.is_whole)


@dataclass
class ConditionJudge:
    """Finds what the parts of one condition demand, and whether that is all they say."""

    connection: duckdb.DuckDBPyConnection
    fields: Sequence[ProbedField]
    is_whole: bool = True
    owners: dict[str, ProbedField] = field(default_factory=dict)  # of columns in lower case

    def __post_init__(self) -> None:
        self.owners = {
            column.lower(): one for one in self.fields for column in (*one.decided, *one.passed_on)
        }

    def find_alternatives(self, node: Mapping[str, Any], *, negated: bool = False) -> list[Alternative]:
        """The alternatives of one part of the condition, or of its contrary."""
        kind = node["type"]
        whole = self.judge_part(node, negated=negated)
        if whole is not None:
            return whole
        if kind == "OPERATOR_NOT":
            return self.find_alternatives(node["children"][0], negated=not negated)
        if kind in FLIPPED:
            parts = [self.find_alternatives(child, negated=negated) for child in node["children"]]
            return self.join(parts, every=(FLIPPED[kind] if negated else kind) == "CONJUNCTION_AND")
        self.is_whole = False
        return [{}]

    def join(self, parts: Sequence[list[Alternative]], *, every: bool) -> list[Alternative]:
        """What all parts demand, or any of them."""
        found = parts[0]
        for part in parts[1:]:
            found = intersect(found, part) if every else unite(found, part)
            if len(found) > MOST_ALTERNATIVES:
                found, self.is_whole = [enclose(found)], False
        return found

    def judge_part(self, node: Mapping[str, Any], *, negated: bool) -> list[Alternative] | None:
        """What a part demands that reads one field; None where it reads several, or none that is known."""
        columns = set(read_columns(node))
        one = self.find_owner(columns)
        if one is None:
            return None
        decided = columns <= {column.lower() for column in one.decided}
        if not decided and (negated or not is_membership(node, one.list_meanings(columns))):
            return None
        values = self.evaluate(node, one.select_columns(columns), negated=negated)
        if values is None:
            return None
        words = frozenset(word for word, value in zip(one.words, values[1:], strict=True) if value)
        return one.demand(Admitted(words, bool(values[0]) and decided))

    def find_owner(self, columns: Collection[str]) -> ProbedField | None:
        """The field that all of these columns are of."""
        names = {self.owners[column].name if column in self.owners else None for column in columns}
        return self.owners[next(iter(columns))] if len(names) == 1 and None not in names else None

    def evaluate(self, node: Mapping[str, Any], rows: pa.Table, *, negated: bool) -> list[bool | None] | None:
        """Whether a part is true of each row; None where the engine cannot say it: with all rows it will tell."""
        if negated:
            node = {"class": "OPERATOR", "type": "OPERATOR_NOT", "alias": "", "children": [node]}
        numbers = pa.array(range(rows.num_rows))  # the engine keeps no order
        self.connection.register("images", rows.append_column(ROW_NUMBER, numbers))
        try:
            sql = self.write_select(node)
            found = dict(self.connection.execute(sql).fetchall())
        except duckdb.InterruptException:
            raise
        except duckdb.Error:
            return None
        values = [found[number] for number in range(rows.num_rows)]
        return values if all(value is None or isinstance(value, bool) for value in values) else None

    def write_select(self, node: Mapping[str, Any]) -> str:
        """SQL that gives the number of each row and what a part is of it."""
        tree = self.read_value("SELECT json_serialize_sql(?)", NUMBERED)
        statement = json.loads(tree)
        statement["statements"][0]["node"]["select_list"][1] = node
        return self.read_value("SELECT json_deserialize_sql(?::JSON)", json.dumps(statement))

    def read_value(self, query: str, parameter: str) -> str:
        [(value,)] = self.connection.execute(query, [parameter]).fetchall()
        return str(value)


def read_columns(node: Mapping[str, Any]) -> Iterator[str]:
    """The columns that a part reads, in lower case."""
    for one in expression_nodes(node):
        if one["class"] == "COLUMN_REF":
            yield one["column_names"][0].lower()


def is_membership(node: Mapping[str, Any], meanings: Collection[str]) -> bool:
    """Whether a part says nothing but that a column is one of some words, all of which a probe has."""
    if node["type"] not in MEMBERSHIPS:
        return False
    parts = node["children"] if node["type"] == "COMPARE_IN" else [node["left"], node["right"]]
    rest = [one for one in parts if one["class"] != "COLUMN_REF"]
    return len(rest) == len(parts) - 1 and all(read_text(one) in meanings for one in rest)


def read_text(node: Mapping[str, Any]) -> str | None:
    """The word in single quotes that a part is; None for another part."""
    literal: Mapping[str, str] = node.get("literal") or {}
    return literal.get("text") if node["class"] == "CONSTANT" and literal.get("kind") == "STRING" else None


# ------------------------------------------------------------------ alternatives


def intersect(some: Sequence[Alternative], others: Sequence[Alternative]) -> list[Alternative]:
    """What must be where both must be: each of the one with each of the other, as far as that can be."""
    pairs = ({**one, **other, **meet(one, other)} for one in some for other in others)
    return [pair for pair in pairs if all(pair.values())]


def meet(one: Alternative, other: Alternative) -> Alternative:
    return {name: one[name] & other[name] for name in one.keys() & other.keys()}


def unite(some: Sequence[Alternative], others: Sequence[Alternative]) -> list[Alternative]:
    """Either of them; two that differ in one field alone are one."""
    found = list(some)
    for one in others:
        alike = next((place for place, other in enumerate(found) if differ_in_one(one, other)), None)
        if alike is None:
            found.append(one)
        else:
            found[alike] = {name: admitted | one[name] for name, admitted in found[alike].items()}
    return found


def differ_in_one(one: Alternative, other: Alternative) -> bool:
    return one.keys() == other.keys() and sum(one[name] != other[name] for name in one) <= 1


def enclose(some: Sequence[Alternative]) -> Alternative:
    """One alternative that admits what any of them does."""
    common = set.intersection(*(set(one) for one in some))
    found: dict[str, Admitted] = {}
    for name in sorted(common):
        admitted = some[0][name]
        for one in some[1:]:
            admitted |= one[name]
        found[name] = admitted
    return found
