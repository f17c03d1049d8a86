"""Which suites there are: where each comes from, what it wants in a database, and which of its tests are run."""

from .runners import Cargo, Django, Go, Python, PythonTests

ALCHEMY = ("CREATE SCHEMA test_schema", "CREATE SCHEMA test_schema_2", "CREATE EXTENSION hstore",
           "CREATE EXTENSION citext")

SUITES = [
    Python("psycopg2", "psycopg2==2.9.10", ("tests",), statements=("CREATE EXTENSION hstore",), short=True,
           environment={"PSYCOPG2_TESTDB": "{database}", "PSYCOPG2_TESTDB_HOST": "127.0.0.1",
                        "PSYCOPG2_TESTDB_PORT": "{port}", "PSYCOPG2_TESTDB_USER": "postgres",
                        "PSYCOPG2_TEST_REPL_DSN": ""}),
    PythonTests("asyncpg", "asyncpg==0.30.0",
                ("tests", "--ignore=tests/test__environment.py", "--ignore=tests/test__sourcecode.py"),
                environment={"PGDATABASE": "{database}"}),
    Python("alembic", "alembic==1.20.1",
           ("tests", "--dburi=postgresql+psycopg2://postgres@127.0.0.1:{port}/{database}"),
           statements=("CREATE SCHEMA test_schema",), short=True),
    Python("sqlalchemy-psycopg2", "SQLAlchemy==2.1.9",
           ("test/dialect/postgresql", "test/dialect/test_suite.py",
            "--dburi=postgresql+psycopg2://postgres@127.0.0.1:{port}/{database}"), statements=ALCHEMY),
    Python("sqlalchemy-psycopg", "SQLAlchemy==2.1.9",
           ("test/dialect/postgresql", "test/dialect/test_suite.py",
            "--dburi=postgresql+psycopg://postgres@127.0.0.1:{port}/{database}"), statements=ALCHEMY),
    Python("sqlalchemy-asyncpg", "SQLAlchemy==2.1.9",
           ("test/dialect/postgresql", "test/dialect/test_suite.py",
            "--dburi=postgresql+asyncpg://postgres@127.0.0.1:{port}/{database}"), statements=ALCHEMY),
    Django("django", "Django==5.2.19",
           ("backends", "postgres_tests", "migrations", "schema", "introspection", "inspectdb", "queries",
            "transactions", "transaction_hooks", "constraints", "db_functions", "aggregation", "annotations",
            "bulk_create", "expressions", "indexes", "lookup", "model_fields", "select_for_update", "test_runner",
            "update", "delete", "get_or_create", "multiple_database")),
    Go("pgx", "github.com/jackc/pgx/v5@v5.12.0", ("./...",),
       statements=("CREATE EXTENSION hstore", "CREATE EXTENSION ltree", "CREATE DOMAIN uint64 AS numeric(20,0)",
                   """DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname LIKE ' tricky%') THEN
                      CREATE USER " tricky, ' } "" \\ test user " SUPERUSER; END IF; END $$"""),
       environment={"PGX_TEST_DATABASE": "host=127.0.0.1 port={port} user=postgres dbname={database}"}),
    Cargo("tokio-postgres", "",
          ("tokio-postgres@0.7.18 --test=test", "postgres@0.19.14 --lib", "postgres-openssl@0.5.3 --lib",
           "postgres-native-tls@0.5.3 --lib"),
          databases=("postgres",),
          statements=("CREATE EXTENSION IF NOT EXISTS hstore", "CREATE EXTENSION IF NOT EXISTS citext",
                      "CREATE EXTENSION IF NOT EXISTS ltree",
                      "DROP ROLE IF EXISTS pass_user, md5_user, scram_user, ssl_user",
                      "CREATE ROLE pass_user PASSWORD 'password' LOGIN", "CREATE ROLE scram_user PASSWORD 'password' LOGIN",
                      "CREATE ROLE ssl_user LOGIN", "SET password_encryption = md5",
                      "CREATE ROLE md5_user PASSWORD 'password' LOGIN")),
]
