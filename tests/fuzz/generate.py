"""Random queries over given relations, of every construct a view can have.

Results are determined (see values.py): what groups, is distinct or is compared by a set operation is shown in a
form whose equality is identity, and LIMIT, DISTINCT ON and windows that tell rows apart order by everything in scope.
"""

import random as random_module
from typing import NamedTuple

from .query import Expr, Item, Query, Select, SetOperation, Text, With, expr
from .values import INCOMPARABLE, TYPES, as_text, literal, normal, normal_type, total

MAX_SCOPE = 14


class Relation(NamedTuple):
    name: str
    columns: tuple[tuple[str, str], ...]  # name, type


class Ref(NamedTuple):
    sql: str
    type: str


Columns = list[tuple[str, str]]


class Generator:
    def __init__(self, random: random_module.Random, relations: list[Relation]):
        self.random = random
        self.relations = relations
        self.aliases = 0
        self.exotic = 1.0  # how likely what makes a query harder is; some queries shall have one such thing or none

    def view(self, depth: int) -> tuple[Query, Columns]:
        """A query for a view."""
        self.exotic = self.random.choice((0.0, 0.2, 0.2, 1.0))
        return self.query(depth)

    def rare(self, probability: float) -> bool:
        return self.chance(probability * self.exotic)

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def alias(self, letter: str = "t") -> str:
        self.aliases += 1
        return f"{letter}{self.aliases}"

    # values and conditions

    def ref(self, scope: list[Ref], type_: str | None = None, which=None) -> Ref | None:
        found = [ref for ref in scope if (type_ is None or ref.type == type_) and (which is None or which(ref))]
        return self.random.choice(found) if found else None

    def value(self, scope: list[Ref], type_: str) -> str:
        """An expression of a type."""
        ref = self.ref(scope, type_)
        if ref is None or self.chance(0.1):
            return literal(self.random, type_) if self.chance(0.9) else f"NULL::{TYPES[type_].sql}"
        if self.chance(0.75):
            return ref.sql
        if type_ == "int":
            return self.random.choice((f"({ref.sql} + 1)", f"twice({ref.sql})", f"bucket({ref.sql})",
                                       f"coalesce({ref.sql}, 0)", f"abs({ref.sql})", f"({ref.sql} % 3)"))
        if type_ in ("numeric", "money2"):
            return self.random.choice((f"({ref.sql} * 1.0)::{TYPES[type_].sql}", f"coalesce({ref.sql}, 0)",
                                       f"(- {ref.sql})"))
        if type_ == "text":
            return self.random.choice((f"upper({ref.sql})", f"left({ref.sql}, 1)", f"coalesce({ref.sql}, 'none')",
                                       f"({ref.sql} || 'x')"))
        if type_ == "date":
            return f"({ref.sql} + 1)"
        if type_ == "bool":
            return f"(NOT {ref.sql})"
        return f"coalesce({ref.sql}, {literal(self.random, type_)})"

    def condition(self, scope: list[Ref], depth: int = 0) -> Expr:
        """A condition on the row alone."""
        ref = self.random.choice(scope)
        if depth < 2 and self.chance(0.15):
            return expr("(", *self.condition(scope, depth + 1).parts, self.random.choice((") OR (", ") AND (")),
                        *self.condition(scope, depth + 1).parts, ")")
        if ref.type == "bool" and self.chance(0.6):
            return expr(self.random.choice(("{}", "NOT {}", "{} IS TRUE", "{} IS NOT FALSE")).format(ref.sql))
        if ref.type in INCOMPARABLE or self.chance(0.15):
            return expr(f"{ref.sql} IS {self.random.choice(('', 'NOT '))}NULL")
        if ref.type == "text" and self.chance(0.3):
            return expr(f"{ref.sql} LIKE '%{self.random.choice('aeost')}%'")
        if ref.type in ("date", "timestamptz") and self.chance(0.25):
            return expr(self.clock(ref))
        other = self.value(scope, ref.type)
        how = self.random.random()
        if how < 0.15:
            return expr(f"{ref.sql} IS {self.random.choice(('', 'NOT '))}DISTINCT FROM {other}")
        if how < 0.3:
            return expr(f"{ref.sql} IN ({other}, {literal(self.random, ref.type)})")
        return expr(f"{ref.sql} {self.random.choice(('=', '<>', '<', '>=', '>', '<='))} {other}")

    def clock(self, ref: Ref) -> str:
        """A comparison with the clock; no value is so near that it changes while a case runs."""
        forms = ["{} < now() + interval '1000 days'", "CURRENT_DATE + interval '1000 days' > {}", "{} >= now() - interval '2 months'",
                 "date_trunc('month', {}) = date_trunc('month', now())", "extract(year FROM {}) < extract(year FROM now())",
                 "extract(epoch FROM {}) > extract(epoch FROM now())", "{} BETWEEN LOCALTIMESTAMP AND now() + interval '30 years'"]
        if ref.type == "timestamptz":
            forms += ["now() - {} < interval '1 year'", "extract(epoch FROM now() - {}) / 3600 > 100", "age({}) > interval '3 months'",
                      "{} - now() > interval '1 day'", "{} AT TIME ZONE 'Asia/Kathmandu' > now() AT TIME ZONE 'Asia/Kathmandu'"]
        return self.random.choice(forms).format(ref.sql)

    def equality(self, left: list[Ref], right: list[Ref]) -> tuple[Ref, Ref] | None:
        """Two columns that can be compared, rather those of many values."""
        pairs = [(l, r) for l in left for r in right if l.type == r.type and l.type not in INCOMPARABLE]
        better = [pair for pair in pairs if pair[0].type in ("int", "bigint", "text", "date", "numeric", "ci")]
        pairs = better if better and self.chance(0.85) else pairs
        return self.random.choice(pairs) if pairs else None

    # FROM

    def source(self, depth: int) -> tuple["str | Query", Columns]:
        if depth > 0 and self.rare(0.3):
            return self.query(depth - 1)
        relation = self.random.choice(self.relations)
        return relation.name, list(relation.columns)

    def tables(self, depth: int, count: int | None = None) -> tuple[list[Item], list[Ref], list[Expr]]:
        """FROM items, their columns, and conditions for WHERE that belong to them."""
        count = count or self.random.choices((1, 2, 3), (5, 5, 2))[0]
        items, scope, where = [], [], []
        for number in range(count):
            if items and self.rare(0.15):
                item, columns = self.lateral(scope, depth)
                items.append(item)
                scope = scope + columns
                continue
            source, columns = self.source(depth)
            alias = self.alias()
            refs = [Ref(f"{alias}.{name}", type_) for name, type_ in columns][:MAX_SCOPE]
            if not items:
                items.append(Item(alias, source))
                scope = refs
                continue
            join = self.random.choices(("JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "CROSS JOIN"),
                                       (8, 7 * self.exotic, 2 * self.exotic, 3 * self.exotic,
                                        0.4 if count == 2 else 0))[0]
            on = []
            pair = self.equality(scope, refs)
            if join != "CROSS JOIN":
                if pair is None:
                    join, on = self.random.choice(("JOIN", "LEFT JOIN")), [expr("false")] if self.chance(0.2) else [self.condition(scope + refs)]
                elif join != "FULL JOIN" and self.chance(0.1):
                    on = [expr(f"{pair[0].sql} {self.random.choice(('<', '>', 'IS NOT DISTINCT FROM'))} {pair[1].sql}")]
                    on.append(self.condition(refs))
                else:
                    on = [expr(f"{pair[0].sql} = {pair[1].sql}")]
                    if join != "FULL JOIN" and self.chance(0.25):
                        on.append(self.condition(self.random.choice((scope, refs, scope + refs))))
            items.append(Item(alias, source, join, on))
            scope = scope + refs
        return items, scope, where

    def lateral(self, scope: list[Ref], depth: int) -> tuple[Item, list[Ref]]:
        join, on = self.random.choice((("CROSS JOIN", []), ("LEFT JOIN", [expr("true")])))
        alias = self.alias("l")
        number, array = self.ref(scope, "int"), self.ref(scope, "ints")
        if number and self.chance(0.3):
            return (Item(alias, f"generate_series(1, least({number.sql}, 3))", join, on, True, "(n)"),
                    [Ref(f"{alias}.n", "int")])
        if array and self.chance(0.4):
            return Item(alias, f"unnest({array.sql})", join, on, True, "(n)"), [Ref(f"{alias}.n", "int")]
        relation = self.random.choice(self.relations)
        inner = self.alias()
        refs = [Ref(f"{inner}.{name}", type_) for name, type_ in relation.columns][:MAX_SCOPE]
        where = self.correlation(scope, refs)
        if self.chance(0.5):
            found, columns = self.aggregates(refs, 2)
            query = Select(found, [Item(inner, relation.name)], where)
        else:
            chosen = self.random.sample(refs, min(2, len(refs)))
            query = Select([(expr(ref.sql), f"c{n}") for n, ref in enumerate(chosen)], [Item(inner, relation.name)],
                           where, order=[total(ref.sql) for ref in refs], limit=f"LIMIT {self.random.randint(1, 3)}")
            columns = [(f"c{n}", ref.type) for n, ref in enumerate(chosen)]
        return Item(alias, query, join, on, True), [Ref(f"{alias}.{name}", type_) for name, type_ in columns]

    # sublinks

    def correlation(self, outer: list[Ref], inner: list[Ref], probability: float = 0.85) -> list[Expr]:
        found = []
        pair = self.equality(outer, inner)
        if pair and self.chance(probability):
            operator = "=" if self.chance(0.85) else self.random.choice(("<", "<>", "IS NOT DISTINCT FROM"))
            found.append(expr(f"{pair[1].sql} {operator} {pair[0].sql}"))
        if self.chance(0.35):
            found.append(self.condition(inner))
        return found

    def inner(self, depth: int) -> tuple[list[Item], list[Ref]]:
        """What a sublink reads."""
        items, refs, _ = self.tables(0 if self.chance(0.7) else depth, self.random.choices((1, 2), (4, 1))[0])
        return items, refs

    def sublink(self, scope: list[Ref], depth: int) -> Expr:
        """A condition with a subquery in it."""
        items, refs = self.inner(depth)
        kind = self.random.random()
        if kind < 0.35:
            return expr(self.random.choice(("EXISTS ", "NOT EXISTS ")),
                        Select([(expr("1"), "one")], items, self.correlation(scope, refs)))
        pair = self.equality(scope, refs)
        if pair and kind < 0.65:
            query = Select([(expr(pair[1].sql), "c0")], items, self.correlation(scope, refs, 0.2))
            return expr(f"{pair[0].sql} {self.random.choice(('IN', 'NOT IN', 'NOT IN'))} ", query)
        if pair and kind < 0.75 and TYPES[pair[0].type].ordered:
            query = Select([(expr(pair[1].sql), "c0")], items, self.correlation(scope, refs, 0.3))
            return expr(f"{pair[0].sql} {self.random.choice(('<', '>=', '='))} {self.random.choice(('ANY', 'ALL'))} ",
                        query)
        found, columns = self.aggregates(refs, 1)
        ref = self.ref(scope, columns[0][1], lambda ref: ref.type not in INCOMPARABLE)
        query = Select(found, items, self.correlation(scope, refs))
        if ref and columns[0][1] not in INCOMPARABLE:
            return expr(f"{ref.sql} {self.random.choice(('=', '<', '>=', '<>', 'IS DISTINCT FROM'))} ", query)
        return expr("", query, " IS NOT NULL")

    def scalar(self, scope: list[Ref], depth: int) -> tuple[Expr, str]:
        """A subquery as a value, and its type."""
        items, refs = self.inner(depth)
        kind = self.random.random()
        where = self.correlation(scope, refs, 0.7)
        if kind < 0.5:
            found, columns = self.aggregates(refs, 1)
            return expr("", Select(found, items, where)), columns[0][1]
        ref = self.random.choice(refs)
        if kind < 0.75:
            return expr("", Select([(expr(ref.sql), "c0")], items, where, order=[total(r.sql) for r in refs],
                                   limit="LIMIT 1")), ref.type
        if kind < 0.9:
            return expr("array_to_string(ARRAY", Select([(expr(as_text(ref.sql)), "c0")], items, where,
                                                        order=[total(ref.sql)]), ", ',', '-')"), "text"
        return self.sublink(scope, depth), "bool"

    # grouping

    def aggregate(self, scope: list[Ref]) -> tuple[str, str]:
        ref = self.random.choice(scope)
        if ref.type in ("int", "bigint") and self.rare(0.1):
            return f"{self.random.choice(('sum', 'max', 'count'))}(100 / {ref.sql}) FILTER (WHERE {ref.sql} <> 0)", "bigint"
        shown, shown_type = normal(ref.type, ref.sql), normal_type(ref.type)
        comparable = ref.type not in INCOMPARABLE
        choices = [("count(*)", "bigint", 3), (f"count({ref.sql})", "bigint", 2),
                   (f"array_to_string(array_agg({ref.sql} ORDER BY {total(ref.sql)}), ',', '-')", "text", 1)
                   if ref.type not in ("ints", "moods") else ("count(*)", "bigint", 1),
                   (f"string_agg({as_text(ref.sql)}, ',' ORDER BY {total(ref.sql)})", "text", 1),
                   (f"jsonb_agg({ref.sql} ORDER BY {total(ref.sql)})", "jsonb", 1),
                   (f"string_agg(DISTINCT {total(ref.sql)}, ',') COLLATE \"default\"", "text", 1)]
        if comparable:
            choices.append((f"count(DISTINCT {ref.sql})", "bigint", 2))
        if TYPES[ref.type].ordered and TYPES[shown_type].ordered:
            choices += [(f"{self.random.choice(('min', 'max'))}({shown})", shown_type, 4),
                        (f"mode() WITHIN GROUP (ORDER BY {shown})", shown_type, 1),
                        (f"percentile_disc(0.5) WITHIN GROUP (ORDER BY {shown})", shown_type, 1)]
            if shown_type in ("bool", "ints", "mood", "range"):
                choices = [choice for choice in choices if not choice[0].startswith(("min", "max"))] + (
                    [(f"max({shown})", shown_type, 2)] if shown_type in ("mood", "ints") else [])
        if TYPES[ref.type].numeric:
            summed = {"int": "bigint", "bigint": "numeric", "float": "float"}.get(ref.type, "numeric")
            mean = "inexact" if ref.type == "float" else "numeric"
            choices += [(f"sum({ref.sql})", summed, 4), (f"avg({ref.sql})", mean, 3),
                        (f"sum(DISTINCT {shown})", summed, 1)]
            if ref.type in ("int", "numeric", "bigint", "money2"):
                choices += [(f"{self.random.choice(('stddev', 'variance', 'var_pop'))}({ref.sql})", "numeric", 1),
                            (f"total({ref.sql})", "numeric", 1)]
            if ref.type == "int":
                choices += [(f"bit_or({ref.sql})", "int", 1), (f"rank(1) WITHIN GROUP (ORDER BY {ref.sql})", "bigint", 1),
                            (f"percentile_cont(0.5) WITHIN GROUP (ORDER BY {ref.sql})", "inexact", 1)]
        if ref.type == "bool":
            choices += [(f"{self.random.choice(('bool_and', 'bool_or', 'every'))}({ref.sql})", "bool", 4)]
        if ref.type == "text":
            choices.append((f"longest({ref.sql})", "text", 1))
        if not self.exotic:
            choices = [choice for choice in choices if choice[2] > 1]
        call, type_, _ = self.random.choices(choices, [choice[2] for choice in choices])[0]
        if self.chance(0.15) and "COLLATE \"default\"" not in call and "array_to_string" not in call:
            call += f" FILTER (WHERE {self.condition(scope).sql()})"
        return call, type_

    def aggregates(self, scope: list[Ref], most: int) -> tuple[list[tuple[Expr, str]], Columns]:
        items, columns = [], []
        for number in range(self.random.randint(1, most)):
            call, type_ = self.aggregate(scope)
            items.append((expr(call), f"a{number}"))
            columns.append((f"a{number}", type_))
        return items, columns

    def key(self, ref: Ref) -> tuple[str, str, str]:
        """What to group by, how to show it, and the type of what is shown."""
        shown = normal(ref.type, ref.sql)
        if ref.type == "ints" and self.rare(0.4):
            return f"unnest({ref.sql})", f"unnest({ref.sql})", "int"
        if ref.type in INCOMPARABLE + ("jsonb",) or self.chance(0.3):
            return shown, shown, normal_type(ref.type)
        return ref.sql, shown, normal_type(ref.type)

    def keys(self, scope: list[Ref], most: int) -> list[tuple[str, str, str]]:
        return [self.key(ref) for ref in self.random.sample(scope, min(len(scope), self.random.randint(1, most)))]

    # whole queries

    def query(self, depth: int = 2) -> tuple[Query, Columns]:
        kinds = [(self.plain, 7), (self.grouped, 6), (self.distinct, 2), (self.distinct_on, 2), (self.windowed, 4),
                 (self.top, 2)]
        if not self.exotic:
            kinds = [(self.plain, 20), (self.grouped, 20)] + kinds[2:]
        if depth > 0 and (self.exotic or self.chance(0.3)):
            kinds += [(self.set_operation, 4), (self.common, 2), (self.numbered, 2), (self.grouping_sets, 2),
                      (self.recursive, 1), (self.guarded, 1)]
        return self.random.choices([kind for kind, _ in kinds], [weight for _, weight in kinds])[0](depth)

    def block(self, depth: int) -> tuple[list[Item], list[Ref], list[Expr]]:
        """FROM and WHERE."""
        items, scope, where = self.tables(depth)
        while self.chance(0.35) and len(where) < 3:
            where.append(self.condition(scope))
        if self.rare(0.3):
            where.append(self.sublink(scope, depth - 1 if depth else 0))
        elif self.rare(0.05):
            where.append(expr("(", *self.sublink(scope, 0).parts, ") OR (", *self.condition(scope).parts, ")"))
        return items, scope, where

    def plain(self, depth: int) -> tuple[Query, Columns]:
        tables, scope, where = self.block(depth)
        items, columns = [], []
        for number in range(self.random.randint(1, 5)):
            if self.rare(0.12):
                value, type_ = self.scalar(scope, depth - 1 if depth else 0)
            elif self.rare(0.06):
                value, type_ = self.protected(scope, tables)
            elif self.chance(0.08):
                ref = self.random.choice(scope)
                value, type_ = expr(f"CASE WHEN {self.condition(scope).sql()} THEN {ref.sql} END"), ref.type
            else:
                type_ = self.random.choice(scope).type
                value = expr(self.value(scope, type_))
            items.append((value, f"c{number}"))
            columns.append((f"c{number}", type_))
        order = ["1"] if self.chance(0.1) and columns[0][1] not in INCOMPARABLE else []
        return Select(items, tables, where, order=order), columns

    def protected(self, scope: list[Ref], tables: list[Item]) -> tuple[Expr, str]:
        """A whole row, or what fails unless what stands before it holds."""
        ref = self.ref(scope, "int")
        if ref is None or self.chance(0.4):
            alias = self.random.choice(tables).alias
            return self.random.choice(((expr(f"to_jsonb({alias})"), "jsonb"), (expr(f"({alias})::text"), "text")))
        return expr(f"CASE WHEN {ref.sql} <> 0 THEN 100 / {ref.sql} END"), "int"

    def guarded(self, depth: int) -> tuple[Query, Columns]:
        """A common table expression that keeps from what is above it what would fail."""
        relation = self.random.choice([relation for relation in self.relations if "int" in dict(relation.columns).values()])
        column = self.random.choice([name for name, type_ in relation.columns if type_ == "int"])
        last = self.random.choice(("SELECT 100 / n AS c0 FROM g", "SELECT count(*) AS c0 FROM g WHERE 12 / n > 2",
                                   "SELECT sum(12 / n) AS c0 FROM g"))
        return (Text(f"WITH g AS MATERIALIZED (SELECT {column} AS n FROM {relation.name} WHERE {column} <> 0) {last}"),
                [("c0", "bigint")])

    def distinct(self, depth: int) -> tuple[Query, Columns]:
        tables, scope, where = self.block(depth)
        refs = self.random.sample(scope, min(len(scope), self.random.randint(1, 3)))
        return (Select([(expr(normal(ref.type, ref.sql)), f"c{n}") for n, ref in enumerate(refs)], tables, where,
                       distinct=True), [(f"c{n}", normal_type(ref.type)) for n, ref in enumerate(refs)])

    def distinct_on(self, depth: int) -> tuple[Query, Columns]:
        tables, scope, where = self.block(depth)
        keys = [key for key, _, _ in self.keys(scope, 2)]
        refs = self.random.sample(scope, min(len(scope), self.random.randint(1, 4)))
        direction = self.random.choice(("", " DESC"))
        return (Select([(expr(ref.sql), f"c{n}") for n, ref in enumerate(refs)], tables, where, distinct_on=keys,
                       order=keys + [total(ref.sql) + direction for ref in scope]),
                [(f"c{n}", ref.type) for n, ref in enumerate(refs)])

    def grouped(self, depth: int) -> tuple[Query, Columns]:
        tables, scope, where = self.block(depth)
        items, columns = self.aggregates(scope, 4)
        keys = self.keys(scope, 2) if self.chance(0.85) else []
        for number, (_, shown, type_) in enumerate(keys):
            if self.chance(0.9):
                items.append((expr(shown), f"k{number}"))
                columns.append((f"k{number}", type_))
        having = []
        if self.chance(0.25):
            call, type_ = self.aggregate(scope)
            having = [expr("count(*) > 1") if self.chance(0.5) or type_ in INCOMPARABLE else
                      expr(f"{call} >= {literal(self.random, type_)}" if TYPES[type_].ordered else f"{call} IS NOT NULL")]
        moments = [ref for ref in scope if ref.type in ("date", "timestamptz")]
        if moments and self.chance(0.3):
            moment = self.random.choice(moments)
            last = self.clock(moment._replace(sql=f"max({moment.sql})"))
            if self.chance(0.5):
                having.append(expr(last))
            else:
                items.append((expr(last), "m"))
                columns.append(("m", "bool"))
        if self.chance(0.1):
            call, type_ = self.aggregate(scope)
            if TYPES[type_].numeric and type_ != "float":
                items.append((expr(f"{call} / nullif(count(*), 0)"), "e"))
                columns.append(("e", "numeric"))
        if keys and self.chance(0.12):
            items.append((expr("rank() OVER (ORDER BY count(*))"), "w"))
            columns.append(("w", "bigint"))
        distinct = self.chance(0.15) and all(type_ in ("int", "bigint", "bool", "date") for _, type_ in columns)
        return Select(items, tables, where, [key for key, _, _ in keys], having, distinct=distinct), columns

    def grouping_sets(self, depth: int) -> tuple[Query, Columns]:
        tables, scope, where = self.block(depth - 1)
        # A column in two keys would be NULL in a set where the other key has it.
        keys = [(shown, type_) for _, shown, type_ in self.keys(scope, 3)]
        names = [key for key, _ in keys]
        form = self.random.choice(("ROLLUP ({})", "CUBE ({})", "GROUPING SETS (({}), ())", "GROUPING SETS (({0}), {1})"))
        items, columns = self.aggregates(scope, 2)
        items += [(expr(key), f"k{n}") for n, key in enumerate(names)] + [(expr(f"grouping({', '.join(names)})"), "g")]
        columns += [(f"k{n}", type_) for n, (_, type_) in enumerate(keys)] + [("g", "int")]
        return Select(items, tables, where, [form.format(", ".join(names), names[0])]), columns

    def windowed(self, depth: int) -> tuple[Query, Columns]:
        tables, scope, where = self.block(depth)
        items, columns = [], []
        partition = [key for key, _, _ in self.keys(scope, 2)] if self.chance(0.8) else []
        everything = ", ".join(total(ref.sql) for ref in scope)
        for number in range(self.random.randint(1, 3)):
            ref = self.random.choice([ref for ref in scope])
            if self.chance(0.2):
                partition = [key for key, _, _ in self.keys(scope, 1)]
            over = f"PARTITION BY {', '.join(partition)} " if partition else ""
            by = self.ref(scope, None, lambda ref: ref.type not in INCOMPARABLE) if self.chance(0.7) else None
            number_ref = self.ref(scope, None, lambda ref: TYPES[ref.type].numeric and ref.type != "float")
            kind = self.random.random()
            if kind < 0.3:
                order = f"ORDER BY {by.sql}" if by else ""
                call, type_ = self.random.choice((("rank()", "bigint"), ("dense_rank()", "bigint"),
                                                  ("cume_dist()", "inexact"), ("count(*)", "bigint"),
                                                  ("percent_rank()", "inexact")))
                items.append((expr(f"{call} OVER ({over}{order})"), f"w{number}"))
            elif kind < 0.55 and number_ref:
                order = f"ORDER BY {by.sql}" if by else ""
                type_ = {"int": "bigint"}.get(number_ref.type, "numeric")
                items.append((expr(f"sum({number_ref.sql}) OVER ({over}{order})"), f"w{number}"))
            elif kind < 0.7 and number_ref:
                frame = self.random.choice(("ROWS 2 PRECEDING", "ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING",
                                            "ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW",
                                            "GROUPS BETWEEN 1 PRECEDING AND CURRENT ROW EXCLUDE CURRENT ROW"))
                type_ = "numeric"
                items.append((expr(f"avg({number_ref.sql}) OVER ({over}ORDER BY {everything} {frame})"), f"w{number}"))
            else:
                call, type_ = self.random.choice((("row_number()", "bigint"), (f"lag({ref.sql})", ref.type),
                                                  (f"lead({ref.sql}, 2)", ref.type), ("ntile(2)", "int"),
                                                  (f"first_value({ref.sql})", ref.type),
                                                  (f"nth_value({ref.sql}, 2)", ref.type)))
                items.append((expr(f"{call} OVER ({over}ORDER BY {everything})"), f"w{number}"))
            columns.append((f"w{number}", type_))
        for number in range(self.random.randint(0, 2)):
            ref = self.random.choice(scope)
            items.append((expr(ref.sql), f"c{number}"))
            columns.append((f"c{number}", ref.type))
        return Select(items, tables, where), columns

    def top(self, depth: int) -> tuple[Query, Columns]:
        """ORDER BY ... LIMIT; what is shown decides, so ties are equal."""
        query, columns = self.plain(depth)
        first = [f"{query.items[n][0].sql()}{self.random.choice(('', ' DESC', ' NULLS FIRST'))}"
                 for n, (_, type_) in enumerate(columns) if type_ not in INCOMPARABLE][:1]
        first = [key for key in first if not key.startswith("(")]
        query.order = first + [total(item.sql()) for item, _ in query.items]
        query.limit = f"LIMIT {self.random.randint(1, 6)}" + (" OFFSET 1" if self.chance(0.3) else "")
        return query, columns

    def numbered(self, depth: int) -> tuple[Query, Columns]:
        """The first few of each group, by row_number."""
        tables, scope, where = self.block(depth - 1)
        refs = self.random.sample(scope, min(len(scope), self.random.randint(1, 4)))
        keys = [key for key, _, _ in self.keys(scope, 1)]
        items = [(expr(ref.sql), f"c{n}") for n, ref in enumerate(refs)]
        function = self.random.choice(("row_number", "row_number", "rank"))
        items.append((expr(f"{function}() OVER (PARTITION BY {keys[0]} ORDER BY "
                           f"{', '.join(total(ref.sql) for ref in scope)})"), "n"))
        alias = self.alias("q")
        return (Select([(expr(f"{alias}.{name}"), name) for _, name in items], [Item(alias, Select(items, tables, where))],
                       [expr(f"{alias}.n <= {self.random.randint(1, 3)}")]),
                [(f"c{n}", ref.type) for n, ref in enumerate(refs)] + [("n", "bigint")])

    def set_operation(self, depth: int) -> tuple[Query, Columns]:
        tables, scope, where = self.block(depth - 1)
        refs = self.random.sample(scope, min(len(scope), self.random.randint(1, 3)))
        columns = [(f"c{n}", normal_type(ref.type)) for n, ref in enumerate(refs)]
        query: Query = Select([(expr(normal(ref.type, ref.sql)), f"c{n}") for n, ref in enumerate(refs)], tables, where)
        for _ in range(self.random.choice((1, 1, 2))):
            tables, scope, where = self.block(depth - 1)
            items = []
            for (name, type_), ref in zip(columns, refs):
                match = self.ref(scope, ref.type)
                items.append((expr(normal(match.type, match.sql) if match else literal(self.random, type_)), name))
            operator = self.random.choice(("UNION", "UNION ALL", "UNION ALL", "INTERSECT", "EXCEPT", "EXCEPT ALL",
                                           "INTERSECT ALL"))
            query = SetOperation(query, operator, Select(items, tables, where))
        return query, columns

    def common(self, depth: int) -> tuple[Query, Columns]:
        """A common table expression, used once or more."""
        definition, columns = self.query(depth - 1)
        relation = Relation(self.alias("cte"), tuple(columns))
        before = self.relations
        self.relations = [relation] * len(before) + before
        body, result = self.random.choice((self.plain, self.grouped, self.windowed))(0)
        self.relations = before
        return With(relation.name, self.random.choice(("", "MATERIALIZED", "NOT MATERIALIZED")), definition, body), result

    def recursive(self, depth: int) -> tuple[Query, Columns]:
        numbers = [(relation, name) for relation in self.relations for name, type_ in relation.columns if type_ == "int"]
        if not numbers:
            return self.plain(depth)
        (seed, start), (step, left), (_, right) = (self.random.choice(numbers) for _ in range(3))
        right = right if any(name == right for name, _ in step.columns) else left
        last = self.random.choice(("SELECT n, depth FROM chain", "SELECT depth, count(*) AS n FROM chain GROUP BY depth",
                                   "SELECT a.n, b.depth FROM chain a JOIN chain b ON b.n = a.n AND b.depth < a.depth"))
        first = f"SELECT {start}, 0 FROM {seed.name}"
        if self.chance(0.3):
            other, column = self.random.choice(numbers)
            first = f"({first} {self.random.choice(('UNION', 'UNION ALL', 'EXCEPT'))} SELECT {column}, 1 FROM {other.name})"
        union = self.random.choice(("UNION", "UNION ALL"))
        joined = self.random.choice(("JOIN", "JOIN", "JOIN", "LEFT JOIN"))
        added = self.random.choice((0, 0, 1))
        limit, more, where = 3 if union == "UNION" else 2, "", ""
        if self.chance(0.3):
            other, column = self.random.choice(numbers)
            more = f" JOIN {other.name} m ON m.{column} = s.{right}"
        if self.chance(0.2):
            other, column = self.random.choice(numbers)
            where = f" AND NOT EXISTS (SELECT FROM {other.name} x WHERE x.{column} = s.{right})"
        return Text(f"WITH RECURSIVE chain(n, depth) AS ({first} {union} SELECT s.{right} + {added}, depth + 1 "
                    f"FROM chain {joined} {step.name} s ON s.{left} = chain.n{more} WHERE depth < {limit}{where}) {last}"), \
            [("n", "bigint"), ("depth", "int")]
