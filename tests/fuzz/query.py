"""A query as a tree, so that it can be made smaller piece by piece.

An Expr is text with queries in between. Whatever may be left out is an element of a list or an optional field;
`smaller` yields each query that is one step simpler. Whether it still is a query is PostgreSQL's to say.
"""

import copy
import dataclasses
from dataclasses import dataclass, field
from typing import Iterator


@dataclass
class Expr:
    parts: list  # of str and Query

    def sql(self) -> str:
        return "".join(part if isinstance(part, str) else f"({part.sql()})" for part in self.parts)


def expr(*parts) -> Expr:
    return Expr(list(parts))


@dataclass
class Item:
    """An element of FROM: a relation, or a query, joined to what is before it."""
    alias: str
    source: "str | Query"
    join: str = ""  # "" for the first; else "JOIN", "LEFT JOIN", ...
    on: list[Expr] = field(default_factory=list)
    lateral: bool = False
    columns: str = ""  # column aliases of a function

    def sql(self) -> str:
        source = self.source if isinstance(self.source, str) else f"({self.source.sql()})"
        text = f"{'LATERAL ' if self.lateral else ''}{source} {self.alias}{self.columns}"
        if not self.join:
            return text
        if self.join == "CROSS JOIN":
            return f"CROSS JOIN {text}"
        return f"{self.join} {text} ON " + (" AND ".join(f"({e.sql()})" for e in self.on) or "true")


@dataclass
class Query:
    pass


@dataclass
class Select(Query):
    items: list[tuple[Expr, str]]
    tables: list[Item]
    where: list[Expr] = field(default_factory=list)
    group: list[str] = field(default_factory=list)
    having: list[Expr] = field(default_factory=list)
    distinct: bool = False
    distinct_on: list[str] = field(default_factory=list)
    order: list[str] = field(default_factory=list)
    limit: str | None = None

    def sql(self) -> str:
        text = "SELECT "
        if self.distinct_on:
            text += f"DISTINCT ON ({', '.join(self.distinct_on)}) "
        elif self.distinct:
            text += "DISTINCT "
        text += ", ".join(f"{e.sql()} AS {name}" for e, name in self.items)
        if self.tables:
            text += " FROM " + " ".join(item.sql() for item in self.tables)
        if self.where:
            text += " WHERE " + " AND ".join(f"({e.sql()})" for e in self.where)
        if self.group:
            text += " GROUP BY " + ", ".join(self.group)
        if self.having:
            text += " HAVING " + " AND ".join(f"({e.sql()})" for e in self.having)
        if self.order:
            text += " ORDER BY " + ", ".join(self.order)
        if self.limit:
            text += f" {self.limit}"
        return text


@dataclass
class SetOperation(Query):
    left: Query
    operator: str
    right: Query

    def sql(self) -> str:
        return f"({self.left.sql()}) {self.operator} ({self.right.sql()})"


@dataclass
class With(Query):
    name: str
    how: str  # "", "MATERIALIZED", "NOT MATERIALIZED"
    definition: Query
    body: Query

    def sql(self) -> str:
        return f"WITH {self.name} AS {self.how} ({self.definition.sql()}) {self.body.sql()}"


@dataclass
class Text(Query):
    """A query that is not taken apart (recursion)."""
    text: str

    def sql(self) -> str:
        return self.text


def smaller(node) -> Iterator:
    """Each version of a node that is one step simpler, the boldest steps first."""
    if isinstance(node, SetOperation):
        yield node.left
        yield node.right
    if isinstance(node, With):
        yield node.body
        yield node.definition
    if isinstance(node, Select) and len(node.tables) == 1 and isinstance(node.tables[0].source, Query):
        yield node.tables[0].source
    if not dataclasses.is_dataclass(node):
        return
    for part in dataclasses.fields(node):
        value = getattr(node, part.name)
        if isinstance(value, list):
            for index in range(len(value)):
                # Without its order, what LIMIT and DISTINCT ON choose would be anybody's guess.
                ordered = part.name == "order" and (node.limit or node.distinct_on)
                if not isinstance(node, Expr) and not ordered:
                    changed = copy.copy(node)
                    setattr(changed, part.name, value[:index] + value[index + 1:])
                    if isinstance(changed, Select) and part.name == "tables" and changed.tables:
                        changed.tables = [dataclasses.replace(changed.tables[0], join="", on=[])] + changed.tables[1:]
                    yield changed
            for index, element in enumerate(value):
                inner = element[0] if isinstance(element, tuple) else element
                for simpler in smaller(inner) if dataclasses.is_dataclass(inner) else ():
                    changed = copy.copy(node)
                    replaced = (simpler, *element[1:]) if isinstance(element, tuple) else simpler
                    setattr(changed, part.name, value[:index] + [replaced] + value[index + 1:])
                    yield changed
        elif isinstance(value, Query):
            for simpler in smaller(value):
                yield dataclasses.replace(node, **{part.name: simpler})
        elif value and part.name in ("distinct", "limit", "lateral"):
            yield dataclasses.replace(node, **{part.name: type(value)() if part.name != "limit" else None})
        elif part.name == "join" and value in ("LEFT JOIN", "RIGHT JOIN", "FULL JOIN"):
            yield dataclasses.replace(node, join="JOIN")
