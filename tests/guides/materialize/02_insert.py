"""Rows in one transaction, and a view of them that is there at once."""
import os

import psycopg

with psycopg.connect(os.environ["DSN"]) as conn:
    conn.execute("CREATE MATERIALIZED VIEW IF NOT EXISTS best AS SELECT max(rate) AS best FROM rates")
    conn.commit()
    with conn.cursor() as cur:
        cur.executemany("INSERT INTO rates VALUES (%s, %s)", [("EUR", "1.10"), ("CHF", "1.05"), ("SEK", "0.09")])
    conn.commit()
    print(conn.execute("SELECT best FROM best").fetchone())
