"""The command: how the server starts, refuses to start, stops, and comes back."""

import os
import signal
import socket
import stat
import subprocess

import psycopg2
import pytest

from harness import system
from harness.paths import freshet_bin, pg_dir
from harness.server import DOORS, Freshet


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run([freshet_bin(), *arguments], capture_output=True, text=True, timeout=60,
                          env=os.environ | environment)


def refused(result: subprocess.CompletedProcess, *words: str) -> None:
    """It ended with an error of exactly one line that says these words."""
    assert result.returncode != 0
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == 1, lines
    for word in words:
        assert word in lines[0]


def doors_closed(port: int) -> list[str]:
    others = [f"--{door}-port=0" for door in DOORS if door != "postgres"]
    return ["--postgres-port", str(port), *others]


def configure(server: Freshet, *lines: str) -> None:
    """Write freshet.conf before the first start."""
    server.data.mkdir()
    (server.data / "freshet.conf").write_text("\n".join(lines))


def one(connection, sql: str):
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()[0]


def test_every_door_answers_when_ready(freshet):
    for door in ("postgres", "materialize", "native"):
        with freshet.psycopg2(door) as connection:
            assert one(connection, "SELECT current_database()") == "materialize"


def test_embedded_postgres_is_as_promised(freshet):
    connection = freshet.psycopg2()
    for setting, value in {"server_encoding": "UTF8", "data_checksums": "on",
                           "wal_level": "replica", "max_prepared_transactions": "64",
                           "password_encryption": "scram-sha-256",
                           "default_text_search_config": "pg_catalog.english"}.items():
        assert one(connection, f"SHOW {setting}") == value
    assert "freshet" in one(connection, "SHOW shared_preload_libraries")
    assert one(connection, "SELECT datcollate FROM pg_database "
                           "WHERE datname = current_database()") == "C.UTF-8"
    assert one(connection, "SELECT count(*) FROM pg_extension WHERE extname = 'freshet'") == 1


@pytest.mark.skipif(not system.root_may_nice(), reason="root without CAP_SYS_NICE cannot pass it on")
def test_the_worker_has_a_larger_share_and_clients_an_equal_one(freshet):
    connection = freshet.psycopg2()
    worker = one(connection, "SELECT pid FROM pg_stat_activity WHERE backend_type = 'freshet worker' "
                             "AND datname = current_database()")
    system.wait_until(lambda: os.getpriority(os.PRIO_PROCESS, worker) == -5, what="the worker's nice value")
    client = one(connection, "SELECT pg_backend_pid()")
    assert os.getpriority(os.PRIO_PROCESS, client) == os.getpriority(os.PRIO_PROCESS, 0)


def test_where_it_is_started_does_not_matter(tmp_path):
    """PostgreSQL, another user's if we are root, starts without a word where it may not be; names relative to a place work."""
    here = tmp_path / "closed" / "inner"
    here.mkdir(parents=True)
    here.parent.chmod(0o700)
    server = Freshet()
    try:
        server.start(cwd=here)
        printed = server.output.read_text() + (server.data / "log" / "initdb.log").read_text()
        assert "could not change directory" not in printed
        server.stop()
        server.arguments = ["--postgres-bin", os.path.relpath(pg_dir("bindir"), server.dir)]
        server.start(cwd=server.dir)
        server.stop()
    finally:
        server.kill()
        server.remove()


def test_sockets_and_key_belong_to_the_server_alone(freshet):
    for path, mode in (("run", 0o700), ("pgdata", 0o700), ("log", 0o700),
                       ("tls/server.key", 0o600)):
        assert (freshet.data / path).stat().st_mode & 0o777 == mode


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_status_0(fresh_server, number):
    connection = fresh_server.psycopg2()
    postmaster = fresh_server.postmaster_pid()
    fresh_server.process.send_signal(number)
    assert fresh_server.process.wait(20) == 0
    assert not system.is_running(postmaster)
    with pytest.raises(psycopg2.OperationalError):
        connection.cursor().execute("SELECT 1")
    fresh_server.process = None
    assert not (fresh_server.data / "status").exists()


def test_data_outlives_a_stop_and_kill_9(fresh_server):
    connection = fresh_server.psycopg2()
    connection.cursor().execute("CREATE TABLE kept (n int); INSERT INTO kept VALUES (1)")
    fresh_server.stop()
    fresh_server.start()
    connection = fresh_server.psycopg2()
    connection.cursor().execute("INSERT INTO kept VALUES (2)")
    fresh_server.kill()
    fresh_server.start()
    assert one(fresh_server.psycopg2(), "SELECT sum(n) FROM kept") == 3


@pytest.mark.parametrize("moment", [0.05, 0.15, 0.3, 0.5])
def test_a_first_start_that_was_killed_is_begun_anew(moment):
    server = Freshet()
    with open(server.output, "w") as output:
        process = subprocess.Popen(server.command(), stdout=output, stderr=output,
                                   env=server.environment, start_new_session=True)
    try:
        process.wait(moment)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)
    server.start()
    try:
        assert one(server.psycopg2(), "SELECT count(*) FROM pg_extension WHERE extname = 'freshet'") == 1
    finally:
        server.stop()
        server.remove()


def test_postgres_dies_with_a_killed_server_and_the_next_start_waits(fresh_server):
    postmaster = fresh_server.postmaster_pid()
    fresh_server.process.kill()
    fresh_server.process.wait(10)
    fresh_server.process = None
    fresh_server.start()
    assert fresh_server.postmaster_pid() != postmaster
    assert not system.is_running(postmaster)
    assert one(fresh_server.psycopg2(), "SELECT 1") == 1


def test_a_crashed_postgres_is_started_again(fresh_server):
    postmaster = fresh_server.postmaster_pid()
    connection = fresh_server.psycopg2()
    os.kill(postmaster, signal.SIGKILL)
    with pytest.raises(psycopg2.OperationalError):
        connection.cursor().execute("SELECT pg_sleep(30)")

    def works():
        try:
            return one(fresh_server.psycopg2(), "SELECT 1") == 1
        except psycopg2.OperationalError:
            return False
    system.wait_until(works, 30, 0.05, "PostgreSQL is up again")
    assert fresh_server.process.poll() is None


def test_a_second_server_on_the_directory_is_refused(freshet):
    port = system.free_port()
    refused(run("serve", "--data", str(freshet.data), *doors_closed(port)),
            "already served", str(freshet.process.pid))


@pytest.fixture
def directory():
    """For a server that is not to start."""
    made = system.temp_dir("refused")
    yield made
    system.remove(made)


def test_a_port_in_use_is_refused_before_anything_is_made(freshet, directory):
    for ports in (doors_closed(freshet.ports["postgres"]),
                  ["--postgres-port", str(system.free_port()), "--materialize-port", "0",
                   "--native-port", str(freshet.ports["native"])]):
        refused(run("serve", "--data", str(directory / "data"), *ports), "in use")
        assert not (directory / "data" / "pgdata").exists()


def test_a_foreign_directory_is_refused_and_left_alone(directory):
    (directory / "PG_VERSION").write_text("15\n")
    refused(run("serve", "--data", str(directory), *doors_closed(system.free_port())),
            "was not made by freshet")
    assert os.listdir(directory) == ["PG_VERSION"]


def test_a_missing_postgres_is_refused(directory):
    refused(run("serve", "--data", str(directory / "data"), "--postgres-bin", "/nonexistent",
                *doors_closed(system.free_port())), "PostgreSQL 15 was not found")


@pytest.mark.parametrize("arguments, words", [
    (["--postgres-port", "65536"], ["65536", "postgres_port"]),
    (["--postgres-port", "x"], ["\"x\"", "postgres_port"]),
    (["--no-such-option", "1"], ["--no-such-option"]),
    (["--listen"], ["--listen", "needs a value"]),
    (["--tls-cert", "/x"], ["tls_cert", "tls_key"]),
    (["surplus"], ["surplus"]),
])
def test_wrong_options_are_refused(tmp_path, arguments, words):
    refused(run("serve", "--data", str(tmp_path / "data"), *arguments), *words)


@pytest.mark.parametrize("text, words", [
    ("# a comment\nlisten = 127.0.0.1 # another\nnonsense = 1\n", [":3:", "nonsense"]),
    ("postgres_port 5\n", [":1:", "name = value"]),
    ("listen = 'no end\n", [":1:", "no end"]),
])
def test_a_wrong_configuration_file_names_its_line(tmp_path, text, words):
    (tmp_path / "freshet.conf").write_text(text)
    refused(run("serve", "--data", str(tmp_path)), "freshet.conf", *words)


def test_flags_win_over_environment_over_file(tmp_path):
    (tmp_path / "freshet.conf").write_text("postgres_port = 70001\n")
    refused(run("serve", "--data", str(tmp_path)), "70001")
    refused(run("serve", "--data", str(tmp_path), FRESHET_POSTGRES_PORT="70002"), "70002")
    refused(run("serve", "--data", str(tmp_path), "--postgres-port=70003",
                FRESHET_POSTGRES_PORT="70002"), "70003")


def test_status_and_psql(freshet):
    result = run("status", "--data", str(freshet.data))
    assert result.returncode == 0
    assert f"process {freshet.process.pid}" in result.stdout
    for door in ("postgres", "materialize", "native"):
        assert f"port {freshet.ports[door]}" in result.stdout
    assert "PostgreSQL 15." in result.stdout
    result = run("psql", "--data", str(freshet.data), "-XAtc",
                 "SELECT current_user, current_database(), inet_client_addr() IS NULL")
    assert (result.returncode, result.stdout) == (0, "postgres|materialize|t\n"), result.stderr


def test_status_and_psql_of_a_stopped_server(tmp_path):
    result = run("status", "--data", str(tmp_path))
    assert result.returncode != 0
    assert "not running" in result.stdout
    refused(run("psql", "--data", str(tmp_path)), "no server is running")


def test_a_socket_of_the_door_where_clients_look_for_one(freshet, directory, monkeypatch):
    server = Freshet(arguments=["--unix-socket-directory", str(directory)])
    port = server.ports["postgres"]
    path = directory / f".s.PGSQL.{port}"
    system.own(directory)
    monkeypatch.setenv("PGHOST", str(directory))
    monkeypatch.setenv("PGPORT", str(port))

    def enters():
        return one(psycopg2.connect("dbname=materialize user=postgres"), "SELECT current_user")

    try:
        server.start()
        assert stat.S_ISSOCK(path.stat().st_mode) and path.stat().st_mode & 0o777 == 0o777
        connection = psycopg2.connect("dbname=materialize user=postgres")
        connection.cursor().execute("CREATE ROLE stranger LOGIN PASSWORD 'p'")
        connection.commit()
        with pytest.raises(psycopg2.OperationalError, match="password"):
            psycopg2.connect("dbname=materialize user=stranger")
        psycopg2.connect("dbname=materialize user=stranger password=p").close()
        refused(run("serve", "--data", str(directory / "other"), "--unix-socket-directory", str(directory),
                    "--listen", "127.0.0.2", *doors_closed(port)), "address already in use")
        assert path.exists()
        server.kill()  # leaves it behind
        assert path.exists()
        server.start()
        assert enters() == "postgres"
        server.stop()
        assert not path.exists()
    finally:
        server.kill()
        server.remove()
    refused(run("serve", "--data", str(directory / "third"), "--unix-socket-directory", "/" + "long" * 30,
                *doors_closed(system.free_port())), "name too long")


def test_a_deep_directory_gets_a_short_place_for_its_socket():
    server = Freshet()
    server.data = server.dir / ("d" * 60) / ("e" * 60)
    server.data.parent.mkdir()
    system.own(server.data.parent)
    server.start()
    place = (server.data / "socket_directory").read_text()
    try:
        assert os.stat(place).st_mode & 0o777 == 0o700
        assert one(server.psycopg2(), "SELECT 1") == 1
        assert run("psql", "--data", str(server.data), "-XAtc", "SELECT 1").stdout == "1\n"
    finally:
        server.stop()
        server.remove()
    assert not os.path.exists(place)


def test_an_existing_postgres(pg):
    server = Freshet(ports={"native": 0}, arguments=[
        "--postgres", f"host=127.0.0.1 port={pg.port} user=postgres dbname=postgres"])
    server.start()
    try:
        assert one(server.psycopg2("postgres", dbname="postgres"), "SELECT inet_server_port()") == pg.port
    finally:
        server.stop()
        server.remove()
    assert system.is_running(pg.pid)


def other_address() -> str | None:
    """An address of this machine that is not loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        address = probe.getsockname()[0]
    return None if address.startswith("127.") else address


def test_beyond_loopback_a_superuser_needs_a_password(directory):
    refused(run("serve", "--data", str(directory / "data"), "--listen", "0.0.0.0",
                *doors_closed(system.free_port())), "postgres", "no password")


@pytest.mark.parametrize("native", [True, False])
def test_beyond_loopback_trusted_roles_are_asked_for_their_password(native):
    address = other_address()
    if address is None:
        pytest.skip("this machine has no address beyond loopback")
    server = Freshet(ports={} if native else {"native": 0})
    configure(server, "listen = 0.0.0.0", "postgres_password = 'it''s $ecret'")
    server.start()
    try:
        here = server.psycopg2()
        assert one(here, "SELECT 1") == 1
        for door in ("postgres", "materialize") + (("native",) if native else ()):
            for user in ("postgres", "crate"):
                with pytest.raises(psycopg2.OperationalError, match="password"):
                    server.psycopg2(door, host=address, user=user)
                with pytest.raises(psycopg2.OperationalError, match="password"):
                    server.psycopg2(door, host=address, user=user, password="wrong")
                with server.psycopg2(door, host=address, user=user, password="'it\\'s $ecret'") as connection:
                    assert one(connection, "SELECT current_user") == user
    finally:
        server.stop()
        server.remove()


def test_trusted_roles_are_there_from_the_first_start(freshet):
    for user in ("postgres", "crate", "root"):
        assert one(freshet.psycopg2(user=user), "SELECT current_user || ':' || rolsuper FROM pg_roles "
                   "WHERE rolname = current_user") == f"{user}:true"


def test_a_role_that_is_not_trusted_needs_its_password_on_loopback_too():
    server = Freshet()
    configure(server, "trusted_roles = crate", "postgres_password = secret")
    server.start()
    try:
        for door in ("postgres", "native"):
            with pytest.raises(psycopg2.OperationalError, match="password"):
                server.psycopg2(door)
            assert one(server.psycopg2(door, password="secret"), "SELECT 1") == 1
    finally:
        server.stop()
        server.remove()


def test_doors_that_are_not_built_are_named_only_when_asked_for(freshet):
    assert "not built" not in freshet.output.read_text()
    server = Freshet(ports={"console": system.free_port()})
    server.start()
    try:
        assert server.output.read_text().count("not built") == 1
        assert system.port_is_free(server.ports["console"])
    finally:
        server.stop()
        server.remove()
