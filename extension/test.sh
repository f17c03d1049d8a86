#!/bin/sh
# Runs pg_regress and the isolation tests against a server of its own.
#
# PG_CONFIG (default: pg_config) names the PostgreSQL into which the extension
# has been installed. FRESHET_TEST_PORT (default 5610) is the server's port on a
# unix socket in the test's own directory; TESTS and SPECS restrict what is run;
# FRESHET_TEST_ACCEPT=1 takes the results as those expected from now on. Runs the server and the tests as user
# postgres when started by root, which PostgreSQL refuses.
set -eu

cd "$(dirname "$0")"
HERE=$PWD
PG_CONFIG=${PG_CONFIG:-pg_config}
PORT=${FRESHET_TEST_PORT:-5610}
BIN=$("$PG_CONFIG" --bindir)
DIR=$(mktemp -d "${TMPDIR:-/tmp}/freshet-test-XXXXXX")
OUT=$DIR/out
IN=$DIR/in

as_server() {
	if [ "$(id -u)" = 0 ]; then
		runuser -u postgres -- "$@"
	else
		"$@"
	fi
}

finish() {
	status=$?
	as_server "$BIN/pg_ctl" -D "$DIR/data" -m immediate -w stop >/dev/null 2>&1 || true
	if [ -n "${FRESHET_TEST_ACCEPT:-}" ]; then
		cp "$OUT"/results/*.out "$OUT"/output_iso/results/*.out "$HERE/expected/" 2>/dev/null || true
	elif [ $status -ne 0 ]; then
		echo "--- what differs"
		cat "$OUT"/regress.diffs "$OUT"/regression.diffs "$OUT"/output_iso/regression.diffs 2>/dev/null || true
		echo "--- the end of the server's log"
		tail -n 40 "$DIR/log" 2>/dev/null || true
	fi
	rm -rf "$DIR"
	exit $status
}

# The user postgres may not be let into this directory, root's home say: all it needs is copied, and run from there.
mkdir -p "$OUT" "$IN"
cp -R sql expected specs "$IN"
cd "$IN"
if [ "$(id -u)" = 0 ]; then
	chown -R postgres "$DIR"
fi
trap finish EXIT
trap 'exit 1' INT TERM

as_server "$BIN/initdb" -D "$DIR/data" -A trust -U postgres --no-sync --locale=C -E UTF8 >"$DIR/initdb.log" 2>&1 ||
	{ cat "$DIR/initdb.log"; exit 1; }
cat >>"$DIR/data/postgresql.conf" <<EOF
shared_preload_libraries = 'freshet'
port = $PORT
listen_addresses = ''
unix_socket_directories = '$DIR'
max_prepared_transactions = 10
max_worker_processes = 32
fsync = off
# specs hold processes at points, and commits between their record and the end of their transaction
freshet.debug_points = on
synchronous_standby_names = 'nobody'
synchronous_commit = local
log_line_prefix = '%m [%p] %b '
EOF
as_server "$BIN/pg_ctl" -D "$DIR/data" -l "$DIR/log" -w start >/dev/null ||
	{ cat "$DIR/log"; exit 1; }

# pg_regress keeps its results beside the tests unless told otherwise
PGXS=$("$PG_CONFIG" --pgxs)
REGRESS_DIR=$(dirname "$PGXS")/../test
run() {
	program=$1
	shift
	[ $# -gt 0 ] || return 0
	as_server "$REGRESS_DIR/$program" --inputdir="$IN" --bindir="$BIN" --outputdir="$OUT" \
		--host="$DIR" --port="$PORT" --user=postgres --dbname=contrib_regression "$@"
}

tests=$(cd sql 2>/dev/null && ls ./*.sql 2>/dev/null | sed 's|^\./||; s|\.sql$||' || true)
specs=$(cd specs 2>/dev/null && ls ./*.spec 2>/dev/null | sed 's|^\./||; s|\.spec$||' || true)
failed=0
# shellcheck disable=SC2086
run regress/pg_regress ${TESTS-$tests} || failed=1
# the isolation tests begin with removing it
mv "$OUT/regression.diffs" "$OUT/regress.diffs" 2>/dev/null || true
# shellcheck disable=SC2086
run isolation/pg_isolation_regress ${SPECS-$specs} || failed=1
if grep -E "terminated by signal|PANIC|TRAP" "$DIR/log"; then
	failed=1
fi
grep -E "freshet (worker|launcher) (ERROR|WARNING)" "$DIR/log" || true
exit $failed
