"""A table of views: how each is kept, why, what its last cycle took, how many rows differ."""

import psycopg


def strategies(connection: psycopg.Connection, names: list[str]) -> dict[str, str]:
    """The strategy of each view that is kept without an error."""
    return dict(connection.execute(
        "SELECT view::text, strategy FROM freshet.views WHERE maintained AND error IS NULL AND view::text = ANY (%s)",
        (names,)).fetchall())


def report(connection: psycopg.Connection, title: str, names: list[str]) -> str:
    lines = [title]
    for name in names:
        strategy, reason, cycle, rows, wrong = connection.execute(
            f"SELECT strategy, reason, round(extract(epoch FROM last_cycle) * 1000, 1), (SELECT count(*) FROM {name}), "
            "freshet.verify(view) FROM freshet.views WHERE view = %s::regclass", (name,)).fetchone()
        lines.append(f"{name:5} {strategy or '-'}  {cycle or 0:8} ms {rows:8} rows, {wrong} differ  {reason}")
    return "\n".join(lines)
