"""The README's table of constructs says what is so; every construct is exact. tools/coverage renews the table."""

from harness.paths import ROOT

from .coverage import MARKERS, measure, render


def test_coverage(pg_shared):
    with pg_shared.psycopg() as admin:
        admin.execute("CREATE DATABASE coverage")
    connection = pg_shared.psycopg("coverage")
    rows = measure(connection)
    connection.close()
    with pg_shared.psycopg() as admin:
        admin.execute("DROP DATABASE coverage WITH (FORCE)")
    assert not [row.what for row in rows if not row.exact]
    text = (ROOT / "README.md").read_text()
    assert MARKERS.sub(lambda match: match[1] + render(rows) + match[2], text) == text, "run tools/coverage"
