"""Rows found where they were seen last: still right after cycles that fail, vacuum, rewritten files, and duplicates."""

import random
from typing import NamedTuple

import pytest

from .compare import differences
from .test_oracle import database  # noqa: F401 (a fixture)


class View(NamedTuple):
    name: str
    query: str


ROWS = 2000
KEPT = [
    View("keyed", "SELECT id, v, note FROM t"),
    View("keyless", "SELECT k, v FROM t"),
    View("grouped", "SELECT k, count(*) AS n, sum(v) AS v, min(note) AS note FROM t GROUP BY k"),
    View("unique_keyed", "SELECT id, v + 1 AS w FROM t"),
]
FAILING = View("failing", "SELECT id, 1000 / v AS q FROM t")
LOCATED = ("keyed", "keyless")


def fill(connection) -> None:
    """Make the table and its views."""
    connection.execute("CREATE TABLE t (id int PRIMARY KEY, k int NOT NULL, v int NOT NULL, note text)")
    connection.execute(f"INSERT INTO t SELECT g, g % 150, 1 + g % 9, 'note ' || g FROM generate_series(1, {ROWS}) g")
    for view in [*KEPT, FAILING]:
        connection.execute(f"CREATE MATERIALIZED VIEW {view.name} AS {view.query}")
    connection.execute("CREATE UNIQUE INDEX ON unique_keyed (id)")


@pytest.fixture
def table(database):  # noqa: F811
    connection = database()
    fill(connection)
    yield connection
    connection.close()


def entries_differ(connection) -> list[str]:
    """Views whose locator has not one entry for each row."""
    found = []
    for name in LOCATED:
        rows = connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0]
        oid = connection.execute("SELECT %s::regclass::oid", (name,)).fetchone()[0]
        entries = connection.execute(f"SELECT count(*) FROM freshet.rows_{oid}").fetchone()[0]
        if rows != entries:
            found.append(f"{name}: {rows} rows, {entries} entries")
    return found


def write(connection, chance: random.Random) -> None:
    """Some transactions: rows updated more than once, in ways that keep or move their groups, gone and back again."""
    for _ in range(chance.randrange(1, 6)):
        ids = [chance.randrange(1, ROWS + 1) for _ in range(chance.choice((1, 20, 400)))]
        with connection.transaction():
            action = chance.randrange(5)
            if action == 0:
                connection.execute("DELETE FROM t WHERE id = ANY (%s)", (ids,))
            elif action == 1:
                connection.execute(
                    "INSERT INTO t SELECT g, g %% 150, 1 + g %% 9, 'back' FROM unnest(%s) g ON CONFLICT DO NOTHING",
                    (ids,))
            elif action == 2:
                connection.execute("UPDATE t SET k = (k + 1) %% 150 WHERE id = ANY (%s)", (ids,))
            else:
                connection.execute("UPDATE t SET v = 1 + (v + %s) %% 9, note = note || 'x' WHERE id = ANY (%s)",
                                   (action, ids))


def fail_and_heal(connection, chance: random.Random) -> None:
    """A cycle that has written views and is undone because of another one."""
    victim = chance.randrange(1, ROWS + 1)
    connection.execute("UPDATE t SET v = v %% 9 + 1, note = 'undone' WHERE id %% 7 = %s", (victim % 7,))
    connection.execute("INSERT INTO t VALUES (%s, 1, 1, 'new') ON CONFLICT DO NOTHING", (victim,))
    connection.execute("UPDATE t SET v = 0 WHERE id = %s", (victim,))
    assert differences(connection, KEPT) == []
    assert connection.execute("SELECT error FROM freshet.views WHERE view = 'failing'::regclass").fetchone()[0]
    connection.execute("UPDATE t SET v = 3 WHERE id = %s", (victim,))


@pytest.mark.parametrize("seed", range(2))
def test_places(table, seed):
    chance = random.Random(seed)
    disturbances = [
        lambda: fail_and_heal(table, chance),
        lambda: table.execute("VACUUM"),
        lambda: table.execute("VACUUM FULL keyed"),
        lambda: table.execute("VACUUM FULL t"),
        lambda: table.execute("DROP INDEX unique_keyed_id_idx"),
        lambda: table.execute("CREATE UNIQUE INDEX unique_keyed_id_idx ON unique_keyed (id)"),
        lambda: [table.execute(f"VACUUM FULL freshet.{name}") for (name,) in table.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'freshet'::regnamespace AND relkind = 'r' AND "
            "relname ~ '^(rows|groups)_'").fetchall()],
    ]
    table.execute("UPDATE t SET v = v % 9 + 1")
    for number in range(21):
        for _ in range(3):
            write(table, chance)
            assert differences(table, KEPT) == [], f"round {number}"
        if chance.random() < 0.5:
            assert entries_differ(table) == [], f"round {number}"
        disturbances[number % len(disturbances)]()
    write(table, chance)
    assert differences(table, KEPT) == []


def test_rows_stay_on_their_pages(pg):
    """Pages that are updated get room to spare: then rows are updated where they are, and the view does not grow.

    In a cluster of its own: what another database holds back cannot be pruned here either.
    """
    table = pg.psycopg()
    table.execute("ALTER SYSTEM SET freshet.enable_recompute = off")
    table.execute("SELECT pg_reload_conf()")
    fill(table)
    chance = random.Random(3)
    blocks = "SELECT id, (ctid::text::point)[0] FROM keyed"
    sizes, updated, left = [], 0, 0
    for number in range(120):
        ids = [chance.randrange(1, ROWS + 1) for _ in range(40)]
        before = dict(table.execute(blocks).fetchall())
        table.execute("UPDATE t SET v = 1 + v %% 9 WHERE id = ANY (%s)", (ids,))
        after = dict(table.execute(blocks).fetchall())
        if number >= 80:
            updated += len(set(ids))
            left += sum(before[row] != after[row] for row in before)
        sizes.append(table.execute("SELECT pg_relation_size('keyed')").fetchone()[0])
    assert left < 0.2 * updated, f"{left} of {updated} rows left their pages"
    assert sizes[-1] <= 1.5 * sizes[0]
    assert differences(table, KEPT) == []
    assert entries_differ(table) == []
    table.close()
