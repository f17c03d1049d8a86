"""What was made goes away again."""
import os

import psycopg

with psycopg.connect(os.environ["DSN"], autocommit=True) as conn:
    conn.execute("DROP MATERIALIZED VIEW IF EXISTS best")
    conn.execute("DROP TABLE IF EXISTS rates")
    print(conn.execute("SHOW TABLES").fetchall())
