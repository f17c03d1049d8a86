"""A table, made and left behind without a commit of its own, as on Materialize."""
import os

import psycopg2

conn = psycopg2.connect(os.environ["DSN"])
with conn.cursor() as cur:
    cur.execute("CREATE TABLE IF NOT EXISTS rates (currency CHAR(3), rate NUMERIC);")
with conn.cursor() as cur:
    cur.execute("SHOW TABLES")
    print(cur.fetchall())
