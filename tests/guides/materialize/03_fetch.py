"""Changes read by FETCH in a long transaction while another connection writes."""
import os

import psycopg2

reader = psycopg2.connect(os.environ["DSN"])
writer = psycopg2.connect(os.environ["DSN"])
writer.autocommit = True
rates = iter(range(2, 100))
with reader.cursor() as cur:
    cur.execute("DECLARE c CURSOR FOR SUBSCRIBE best")
    while True:
        cur.execute("FETCH ALL c")
        for row in cur:
            print(row)
        with writer.cursor() as other:
            other.execute("INSERT INTO rates VALUES ('XXX', %s)", (next(rates),))
