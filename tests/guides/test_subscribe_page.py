"""docs/subscribe.md: its program, against PostgreSQL with the extension and without the server."""

import os
import sys

from .pages import Reader

SCHEMA = """
CREATE TABLE bids (id int PRIMARY KEY, item text, amount numeric);
INSERT INTO bids VALUES (1, 'vase', 10), (2, 'clock', 50), (3, 'vase', 12);
CREATE MATERIALIZED VIEW best AS SELECT item, max(amount) FROM bids GROUP BY item;
"""


def test_the_program(pg, tmp_path):
    reader = Reader("subscribe.md", pg.port, tmp_path, dict(os.environ))
    reader.read()
    connection = pg.psycopg()
    connection.execute(SCHEMA)
    rows = [line.split() for line in reader.follow(
        4, lambda: connection.execute("INSERT INTO bids VALUES (4, 'vase', 15)"), sys.executable, "follow.py")]
    assert sorted(row[1:] for row in rows[:2]) == [["1", "clock", "50"], ["1", "vase", "12"]]
    assert [row[1:] for row in rows[2:]] == [["-1", "vase", "12"], ["1", "vase", "15"]]
    assert rows[1][0] < rows[2][0] == rows[3][0]
    assert connection.execute("SELECT freshet.verify('best')").fetchone() == (0,)
    connection.close()
