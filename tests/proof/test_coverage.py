"""The tables of constructs say what is so; every construct is exact. tools/coverage renews the tables."""

from harness.paths import ROOT

from .coverage import TABLES, measure, renew


def test_coverage(pg_shared):
    with pg_shared.database("coverage") as name, pg_shared.psycopg(name) as connection:
        rows = measure(connection)
    assert not [row.what for row in rows if not row.exact]
    for name, render in TABLES.items():
        text = (ROOT / name).read_text()
        assert renew(text, render(rows)) == text, "run tools/coverage"
