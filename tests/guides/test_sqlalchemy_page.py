"""docs/sqlalchemy.md, block by block."""

import sys

from .pages import Reader


def test_the_page(shop, tmp_path):
    reader = Reader("sqlalchemy.md", shop.server.ports["postgres"], tmp_path, shop.environment)
    reader.read()
    shop.connect()
    shop.execute("INSERT INTO orders (item, amount) VALUES ('tea', 3.50)")
    shop.assert_exact("totals")
    assert shop.value("SELECT version_num FROM alembic_version") == "0002"

    def order():
        shop.execute("INSERT INTO orders (item, amount) VALUES ('tea', 1)")

    for number, program in enumerate(["follow.py", "follow_async.py"]):
        rows = [line.split() for line in reader.follow(3, order, sys.executable, program)]
        assert [row[1:4] for row in rows] == [["1", "tea", str(number + 1)], ["-1", "tea", str(number + 1)],
                                              ["1", "tea", str(number + 2)]]
        assert rows[0][0] < rows[1][0] == rows[2][0]
    shop.assert_exact("totals")
