"""Databend's Python guide, word for word, against the server, with the clients of its time and with today's.

What the guide leaves to its reader (host, user, warehouse) is filled in, the ports are others, and two typing errors
are mended, without which two samples are no Python: a missing quote, and ${HOST} in an f-string. With today's clients
three lines fail inside the client, whatever the server answers; TODAY has them and what stands in their place.
"""

import hashlib
import os
import subprocess
import sys

import pytest
from harness import paths, system
from harness.server import Freshet

from .blocks import blocks

shared = paths.shared_dir()
GUIDE = shared / "guides" / "databend-python.md" if shared else None

pytestmark = pytest.mark.skipif(not GUIDE or not GUIDE.exists(), reason="the guide is not beside the repository")

SAMPLES = [block.code for block in blocks(GUIDE)] if GUIDE and GUIDE.exists() else []
PYTHON = [code for code in SAMPLES if "client" in code.lower() or "connect" in code]
(USER,) = [code for code in SAMPLES if "CREATE USER" in code] or [""]
BOOK = "Readings in Database Systems Michael Stonebraker 2004\n"

# what the clients were when the guide was written, and what they are
CLIENTS = {
    "then": ["databend-py==0.3.7", "databend-sqlalchemy==0.2.3", "SQLAlchemy==2.0.58"],
    "now": ["databend-py==0.6.4", "databend-driver==0.34.2", "databend-sqlalchemy==0.5.5", "SQLAlchemy==2.0.58"],
}

# databend-sqlalchemy 0.5 knows no URL of http, takes `secure` for a setting, and puts parameters into the text by %
TODAY = [
    ('connector.connect(f"http://user1:abc123@127.0.0.1:8000")',
     'connector.connect("databend://user1:abc123@127.0.0.1:8000/default?sslmode=disable")'),
    ("databend://user1:abc123@127.0.0.1:8000/default?secure=False",
     "databend://user1:abc123@127.0.0.1:8000/default?sslmode=disable"),
    ('cursor.execute("INSERT INTO data (Col1,Col2) VALUES ", [1, \'yy\', 2, \'xx\'])',
     'cursor.executemany("INSERT INTO data (Col1,Col2) VALUES (%s, %s)", [(1, \'yy\'), (2, \'xx\')])'),
]


def make_python(name: str):
    """An interpreter with these clients; kept in build/."""
    wanted = CLIENTS[name]
    directory = paths.ROOT / "build" / f"databend-{hashlib.sha256(' '.join(wanted).encode()).hexdigest()[:12]}"
    python = directory / "bin" / "python"
    if not (directory / "made").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", directory], check=True)
        done = subprocess.run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *wanted],
                              capture_output=True, text=True)
        if done.returncode != 0:
            assert not os.environ.get("CI"), done.stderr
            pytest.skip(f"the clients cannot be installed: {done.stderr[-200:]}")
        (directory / "made").touch()
    return python


@pytest.fixture(scope="module")
def server():
    server = Freshet(ports={"databend": system.free_port()}).start()
    yield server
    server.stop()
    server.remove()


@pytest.fixture(params=CLIENTS, scope="module")
def clients(request):
    return request.param


@pytest.fixture(scope="module")
def python(clients):
    return make_python(clients)


def run(server, python, code: str) -> str:
    port = server.ports["databend"]
    code = (code.replace("&secure=True)", '&secure=True")').replace("WAREHOUSE_NAME})", 'WAREHOUSE_NAME}")')
            .replace("${HOST}", "{HOST}").replace("127.0.0.1:8000", f"127.0.0.1:{port}").replace("port=8000", f"port={port}")
            .replace("localhost:8000", f"localhost:{port}").replace(":443/", f":{port}/"))
    values = "USER, PASSWORD, HOST, DATABASE, WAREHOUSE_NAME = 'user1', 'abc123', 'localhost', 'default', 'w'\n"
    done = subprocess.run([python, "-W", "ignore", "-c", values + code], capture_output=True, text=True, timeout=60,
                          env=os.environ | {"REQUESTS_CA_BUNDLE": str(server.data / "tls" / "ca.crt")})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module", autouse=True)
def user(server, python, clients):
    """Step 1, as a client of root's does it."""
    code = f"""
from databend_py import Client
client = Client('127.0.0.1', port=8000, user='root', password='')
client.execute('DROP USER IF EXISTS user1')
for statement in {[line for line in USER.splitlines() if line]!r}:
    client.execute(statement)
client.execute('DROP DATABASE IF EXISTS bookstore')
client.execute('DROP TABLE IF EXISTS booklist')
"""
    run(server, python, code)


def adapted(code: str, clients: str, lines) -> str:
    for line in lines if clients == "now" else []:
        assert line[0] in code
        code = code.replace(*line)
    return code


def test_the_guide_has_these_samples():
    assert len(PYTHON) == 7 and USER.count(";") == 2


def test_connecting(server, python):
    """Step 2's two examples: they connect when something is asked."""
    for code in PYTHON[:2]:
        code = "from databend_py import Client\n" + code.replace("/db?", "/default?").replace(
            "tenant--warehouse.ch.datafusecloud.com", "127.0.0.1").replace('"443"', '"8000"').replace(
            'user="user"', 'user="user1"').replace('password="password"', 'password="abc123"')
        port = server.ports["databend"]
        assert run(server, python, code.replace('"8000"', f'"{port}"') + "\nprint(client.execute('SELECT 1')[1])") == "[(1,)]\n"


def test_tutorial_1_databend_py(server, python):
    assert run(server, python, PYTHON[2]) == BOOK


def test_tutorial_1_connector(server, python, clients):
    assert run(server, python, adapted(PYTHON[3], clients, TODAY[:1])) == BOOK


def test_tutorial_1_engine(server, python, clients):
    assert run(server, python, adapted(PYTHON[4], clients, TODAY[1:2])) == BOOK


def test_tutorial_2(server, python):
    assert run(server, python, PYTHON[5]).splitlines()[-1] == "[(1, 'yy'), (2, 'xx')]"


def test_tutorial_3(server, python, clients):
    code = adapted(PYTHON[6], clients, TODAY[2:])
    if clients == "now":
        code = code.replace("&warehouse=", "sslmode=disable&warehouse=")
    printed = run(server, python, code).splitlines()[-1]
    assert printed in ("[(1, 'yy'), (2, 'xx')]", "[Row(1, 'yy'), Row(2, 'xx')]")


DRIVER = """
from databend_driver import BlockingDatabendClient
connection = BlockingDatabendClient("databend://user1:abc123@127.0.0.1:8000/default?sslmode=disable").get_conn()
connection.exec("CREATE OR REPLACE TABLE kinds (i INT, s STRING, d DATE, t TIMESTAMP, n DECIMAL(10, 2), f DOUBLE, b BOOLEAN, "
                "u UINT64, v VARIANT, a ARRAY(INT))")
assert connection.exec("INSERT INTO kinds VALUES (1, 'a', '2020-01-01', '2020-01-01 00:00:00.5', 1.25, 0.5, true, "
                       "18446744073709551615, {'a': 1}, [1, 2])") == 1
print(connection.query_row("SELECT * FROM kinds").values())
print(connection.query_row("SELECT 1.5, sum(i), sum(n), count(*), avg(i) FROM kinds").values())
print(sum(row.values()[0] for row in connection.query_iter("SELECT number FROM numbers(30000)")))
print(connection.query_row("SELECT ?", ("it's",)).values())
print(connection.stream_load("INSERT INTO kinds (i, s) VALUES", [["2", "b"], ["3", ""]]).write_rows)
cursor = BlockingDatabendClient("databend://user1:abc123@127.0.0.1:8000/default?sslmode=disable").cursor()
cursor.executemany("INSERT INTO kinds (i, s) VALUES (?, ?)", [(4, "x"), (5, "y")])
cursor.execute("SELECT i, s FROM kinds ORDER BY i")
print([tuple(row.values()) for row in cursor.fetchall()])
try:
    connection.exec("SELECT * FROM nope")
except Exception as error:
    print("1025" in str(error), connection.query_row("SELECT 1").values())
"""


def test_todays_driver(server, python, clients):
    """What databend-driver makes of types, pages, parameters and files."""
    if clients != "now":
        pytest.skip("the driver is today's")
    printed = run(server, python, DRIVER).splitlines()
    assert printed[0].startswith("(1, 'a', datetime.date(2020, 1, 1), datetime.datetime(2020, 1, 1, 0, 0, 0, 500000")
    assert printed[0].endswith("Decimal('1.25'), 0.5, True, 18446744073709551615, '{\"a\":1}', [1, 2])")
    assert printed[1:] == ["(Decimal('1.5'), 1, Decimal('1.25'), 1, 1.0)", str(sum(range(30000))), "(\"it's\",)", "2",
                           "[(1, 'a'), (2, 'b'), (3, None), (4, 'x'), (5, 'y')]", "True (1,)"]


SQLALCHEMY = """
import datetime, decimal
from sqlalchemy import *
engine = create_engine("databend://user1:abc123@127.0.0.1:8000/default?sslmode=disable")
table = Table("orm", MetaData(), Column("id", Integer, primary_key=True), Column("name", String(20)), Column("n", Numeric(10, 2)),
              Column("d", Date), Column("t", DateTime), Column("b", Boolean), Column("f", Float))
with engine.connect() as connection:
    table.metadata.drop_all(connection)
    table.metadata.create_all(connection)
    connection.execute(table.insert(), [
        {"id": 1, "name": "it's \\\\", "n": decimal.Decimal("1.50"), "d": datetime.date(2020, 1, 1),
         "t": datetime.datetime(2020, 1, 1, 2, 3, 4, 5), "b": True, "f": 0.5},
        {"id": 2, "name": None, "n": None, "d": None, "t": None, "b": False, "f": None}])
    print(connection.execute(select(table).order_by(table.c.id)).fetchall())
    print(connection.execute(select(table.c.id).where(table.c.name == "it's \\\\").limit(1).offset(0)).fetchall())
    print(connection.execute(table.update().where(table.c.id == 2).values(name="z")).rowcount)
    print(connection.execute(select(func.count(), func.sum(table.c.n))).fetchall())
    inspector = inspect(connection)
    print("orm" in inspector.get_table_names(), inspector.has_table("orm"), inspector.has_table("nope"))
    print([(column["name"], str(column["type"]), column["nullable"]) for column in inspector.get_columns("orm")])
    print("default" in inspector.get_schema_names(), inspector.get_view_names(), inspector.get_temp_table_names())
"""


def test_todays_sqlalchemy(server, python, clients):
    """What the dialect writes and reflects."""
    if clients != "now":
        pytest.skip("the dialect of then has hardly any of it")
    assert run(server, python, SQLALCHEMY).splitlines() == [
        "[(1, \"it's \\\\\", Decimal('1.50'), datetime.date(2020, 1, 1), datetime.datetime(2020, 1, 1, 2, 3, 4, 5), True, 0.5), "
        "(2, None, None, None, None, False, None)]",
        "[(1,)]", "1", "[(2, Decimal('1.50'))]", "True True False",
        "[('id', 'INTEGER', False), ('name', 'VARCHAR', True), ('n', 'DECIMAL(10, 2)', True), ('d', 'DATE', True), "
        "('t', 'DATETIME', True), ('b', 'BOOLEAN', True), ('f', 'FLOAT', True)]",
        "True [] []"]
