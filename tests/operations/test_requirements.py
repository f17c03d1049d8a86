"""A server that lacks something says what, where the user can read it."""

import psycopg
import pytest
from harness.postgres import Postgres


def start(settings: dict[str, str]):
    cluster = Postgres(settings)
    cluster.start()
    return cluster


def finish(cluster) -> None:
    cluster.stop()
    cluster.remove()


def create_extension_fails(settings: dict[str, str]) -> str:
    """The message and hint of CREATE EXTENSION."""
    cluster = start(settings)
    try:
        connection = cluster.psycopg()
        with pytest.raises(psycopg.Error) as failure:
            connection.execute("CREATE EXTENSION freshet")
        connection.close()
        diagnostic = failure.value.diag
        return " ".join(filter(None, (diagnostic.message_primary, diagnostic.message_detail, diagnostic.message_hint)))
    finally:
        finish(cluster)


def test_not_preloaded():
    assert "shared_preload_libraries" in create_extension_fails({"shared_preload_libraries": "''"})


def names_the_setting(settings: dict[str, str], expected: str) -> None:
    """Creating the extension or a view, reading it, or at least the log names the setting."""
    cluster = start(settings)
    try:
        connection = cluster.psycopg()
        connection.execute("CREATE TABLE t (a int)")
        said = []
        connection.add_notice_handler(lambda notice: said.append(
            f"{notice.message_primary} {notice.message_detail} {notice.message_hint}"))
        try:
            connection.execute("CREATE EXTENSION freshet")
            connection.execute("CREATE MATERIALIZED VIEW v AS SELECT a FROM t")
            connection.execute("INSERT INTO t VALUES (1)")
            connection.execute("SELECT * FROM v")
        except psycopg.Error as error:
            said.append(f"{error} {error.diag.message_hint}")
        assert expected in "\n".join(said) + cluster.log.read_text(), said
        connection.close()
    finally:
        finish(cluster)


def test_wal_level_too_low():
    names_the_setting({"wal_level": "minimal", "max_wal_senders": "0"}, "wal_level")


def test_no_replication_slot_left():
    names_the_setting({"max_replication_slots": "0"}, "max_replication_slots")


@pytest.mark.parametrize("table, word", [("CREATE UNLOGGED TABLE t (a int)", "unlogged")])
def test_tables_without_wal_are_named(pg, table, word):
    connection = pg.psycopg()
    connection.execute(table)
    connection.execute("CREATE MATERIALIZED VIEW v AS SELECT a FROM t")
    connection.execute("SELECT * FROM v")
    reason = connection.execute("SELECT reason FROM freshet.views WHERE view = 'v'::regclass").fetchone()[0]
    assert word in (reason or "").lower(), reason
    connection.close()
