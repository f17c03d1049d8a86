"""Whether views are exact, twice over: by freshet.verify and by asking their queries."""

import psycopg

from .shapes import ORDER_SHOWS, Shape


def differences(connection: psycopg.Connection, shapes: list[Shape]) -> list[str]:
    """What differs between each view and its query in one snapshot; [] when all are exact.

    The connection must be in autocommit mode. The first statement of the transaction mentions
    every view, so its snapshot is taken once all of them are fresh.
    """
    found = []
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        connection.execute("SELECT " + ", ".join(f"(SELECT count(*) FROM {shape.name})" for shape in shapes))
        for shape in shapes:
            connection.execute(f"SET LOCAL enable_sort = {'off' if shape.name in ORDER_SHOWS else 'on'}")
            extra, missing = connection.execute(f"""
                WITH have AS MATERIALIZED (SELECT have_row::text AS row FROM {shape.name} have_row),
                     want AS MATERIALIZED (SELECT want_row::text AS row FROM ({shape.query}) want_row)
                SELECT ARRAY(SELECT row FROM have EXCEPT ALL SELECT row FROM want),
                       ARRAY(SELECT row FROM want EXCEPT ALL SELECT row FROM have)""").fetchone()
            if extra or missing:
                found.append(f"{shape.name}: in the view only: {short(extra)}; in the query only: {short(missing)}")
    for shape in shapes:
        wrong = connection.execute("SELECT freshet.verify(%s::regclass)", (shape.name,)).fetchone()[0]
        if wrong:
            found.append(f"{shape.name}: freshet.verify says {wrong} rows differ")
    return found


def short(rows: list[str]) -> str:
    shown = [row if len(row) < 80 else row[:77] + "..." for row in rows[:4]]
    return f"{len(rows)} rows {shown}" if rows else "none"
