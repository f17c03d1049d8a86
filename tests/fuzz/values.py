"""Types of columns, and values where equality and identity part.

A query is only of use here if its result is determined to the last bit. Where `=` does not imply the same image
(1.0 and 1.00, 'a' and 'A' under a nondeterministic collation, -0), `normal` gives an expression whose `=` does;
`total` orders any two rows that differ. Floats are small multiples of 1/4, so that their sums are exact in
any order.
"""

from typing import NamedTuple


class Type(NamedTuple):
    name: str
    sql: str
    values: tuple[str, ...]
    normal: str = "{}"  # an expression whose equality is identity
    becomes: str = ""  # the type of that expression, where it is another
    numeric: bool = False  # has sum and avg
    ordered: bool = True  # has min and max


TYPES = {type_.name: type_ for type_ in (
    Type("int", "int", tuple(map(str, range(-2, 9))), numeric=True),
    Type("bigint", "bigint", ("0", "1", "2", "3", "10000000000", "-7"), numeric=True),
    Type("numeric", "numeric", ("0", "0.0", "1", "1.0", "1.00", "2.5", "2.50", "7.125", "-3", "99.99", "'NaN'", "100"),
         "round({}, 3)", numeric=True),
    Type("money2", "numeric(10,2)", ("0", "1", "2.5", "7.12", "-3.5", "99.99"), numeric=True),
    Type("float", "float8", ("0", "'-0'", "0.5", "0.25", "1024", "-8", "'NaN'", "'Infinity'"), "({} + 0.0)",
         numeric=True),
    Type("inexact", "float8", ("0", "0.1")),  # comes out of aggregates; its sum would depend on the order
    Type("text", "text", ("'a'", "'A'", "'b'", "''", "'north'", "'south'", "'west'", "'east'")),
    Type("ci", "text COLLATE ci", ("'a'", "'A'", "'b'", "'B'", "'x'", "'X'", "''"), "(lower({}) COLLATE \"default\")", "text"),
    Type("cichar", "char(3) COLLATE ci", ("'a'", "'A'", "'b'", "'abc'", "'ABC'"), "(lower({}::text) COLLATE \"default\")", "text"),
    Type("date", "date", tuple(f"'2026-01-{day:02}'" for day in (1, 2, 3, 9, 31)) + ("'2025-12-31'", "'infinity'")),
    Type("timestamptz", "timestamptz", ("'2026-01-01 00:00Z'", "'2026-01-01 12:30Z'", "'2026-03-29 01:30Z'",
                                        "'2040-01-01 00:00Z'")),
    Type("interval", "interval", ("'1 day'", "'24 hours'", "'1 month'", "'30 days'", "'0'", "'-5 minutes'"),
         "extract(epoch FROM {})", "numeric"),
    Type("bool", "boolean", ("true", "false"), ordered=False),
    Type("jsonb", "jsonb", ("'{\"a\": 1.0}'", "'{\"a\": 1.00}'", "'{\"a\": 1}'", "'[1, 2]'", "'null'", "'{}'",
                            "'{\"b\": [1, {\"c\": 2}]}'"), "({})::text", "text", ordered=False),
    Type("ints", "int[]", ("'{1,2}'", "'{}'", "'{3}'", "'{1,NULL,2}'", "'{{1,2},{3,4}}'")),
    Type("mood", "mood", ("'sad'", "'ok'", "'happy'")),
    Type("pair", "pair", ("'(1,ok)'", "'(1,sad)'", "'(,ok)'", "'(2,)'"), ordered=False),
    Type("nested", "nested", ("'(\"(1,ok)\",\"[1,3)\")'", "'(\"(2,)\",)'", "'(,empty)'"), ordered=False),
    Type("moods", "mood[]", ("'{ok,sad}'", "'{}'", "'{happy,NULL}'"), ordered=False),
    Type("moodrange", "moodrange", ("'[sad,ok]'", "'[ok,happy)'", "'empty'", "'(,sad]'"), ordered=False),
    Type("range", "int4range", ("'[1,5)'", "'[2,9)'", "'empty'", "'(,3)'", "'[4,4]'"), ordered=False),
    Type("point", "point", ("'(1,2)'", "'(0,0)'", "'(1,2.5)'"), "({})::text", "text", ordered=False),
    Type("json", "json", ("'{\"a\": 1}'", "'[1]'", "'{\"a\":1}'"), "({})::text", "text", ordered=False),
)}

# Every case has these.
PREAMBLE = """
CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE TYPE pair AS (n int, m mood);
CREATE TYPE nested AS (p pair, r int4range);
CREATE TYPE moodrange AS RANGE (SUBTYPE = mood);
CREATE ROLE fuzz_reader;
ALTER ROLE fuzz_reader NOBYPASSRLS;
GRANT ALL ON SCHEMA fuzz TO fuzz_reader;
ALTER DEFAULT PRIVILEGES IN SCHEMA fuzz GRANT SELECT ON TABLES TO fuzz_reader;
CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2';
CREATE FUNCTION bucket(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1 % 3; END';
CREATE FUNCTION longer(text, text) RETURNS text LANGUAGE sql IMMUTABLE AS
    'SELECT CASE WHEN (length($2), $2) > (length($1), $1) OR $1 IS NULL THEN $2 ELSE $1 END';
CREATE AGGREGATE longest(text) (SFUNC = longer, STYPE = text);
CREATE AGGREGATE total(numeric) (SFUNC = numeric_add, STYPE = numeric, INITCOND = '0');
""".strip().split(";\n")


def normal(type_: str, expression: str) -> str:
    return TYPES[type_].normal.format(expression)


def normal_type(type_: str) -> str:
    return TYPES[type_].becomes or type_


def literal(random, type_: str) -> str:
    if type_ == "ci":
        return f"({random.choice(TYPES[type_].values)} COLLATE ci)"
    return f"{random.choice(TYPES[type_].values)}::{TYPES[type_].sql}"


def as_text(expression: str) -> str:
    return f'(({expression})::text COLLATE "default")'


def total(expression: str) -> str:
    """Orders values that differ in anything that is shown."""
    return f'({expression})::text COLLATE "C"'


# For columns of tables.
COLUMN_TYPES = tuple(name for name in TYPES if name not in ("inexact",))
# Without "=".
INCOMPARABLE = ("json", "point")
