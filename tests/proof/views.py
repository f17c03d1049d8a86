"""A benchmark's queries as views, compared with their queries all the way."""

import psycopg
from oracle.compare import differences
from oracle.shapes import Shape

from .report import report, strategies


class Views:
    """Made over tables that have rows already."""

    def __init__(self, connection: psycopg.Connection, queries: dict[str, str]):
        self.connection = connection
        self.names = list(queries)
        for name, query in queries.items():
            connection.execute(f"CREATE MATERIALIZED VIEW {name} AS {query}")
        self.shapes = [Shape(name, "", query) for name, query in queries.items()]
        self.assert_exact()
        empty = [name for name in queries if not connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0]]
        assert not empty, "a view without rows proves nothing"

    def assert_exact(self, statement: str = "") -> None:
        """Every view is equal to its query (after the statement)."""
        assert not differences(self.connection, self.shapes), statement

    def follow(self, statements: list[str]) -> None:
        """Run statements, and compare after every fourth and the last."""
        for number, statement in enumerate(statements):
            self.connection.execute(statement)
            if number % 4 == 3:
                self.assert_exact(statement)
        self.assert_exact()

    def assert_kept(self, title: str, incremental: int) -> None:
        """All are kept, so many of them without running the whole query."""
        print(report(self.connection, title, self.names))
        kept = strategies(self.connection, self.names)
        assert len(kept) == len(self.names)
        assert sum(strategy in ("A", "B") for strategy in kept.values()) >= incremental
