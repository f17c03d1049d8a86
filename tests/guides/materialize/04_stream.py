"""Changes streamed row by row with psycopg 3."""
import os
import threading

import psycopg


def write():
    with psycopg.connect(os.environ["DSN"], autocommit=True) as conn:
        for rate in range(100, 10000):
            conn.execute("INSERT INTO rates VALUES ('YYY', %s)", (rate,))
            threading.Event().wait(0.1)


with psycopg.connect(os.environ["DSN"]) as conn, conn.cursor() as cur:
    for number, row in enumerate(cur.stream("SUBSCRIBE best")):
        print(row)
        if number == 0:
            threading.Thread(target=write, daemon=True).start()
