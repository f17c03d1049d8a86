"""Lists that clients append to and read, in tables and through views: a checker after Elle's list-append model.

A key's list tells the order of its versions, so what a statement saw of all keys is a vector of lengths. PostgreSQL's
snapshots are ordered: each vector that anybody saw, in a table, a view or a subscription, has to be of one chain. Beside
that, what one statement is promised (ARCHITECTURE.md): of a view, all that was committed before the statement began, and
nothing that its snapshot does not see; of views that follow changes, one cut.
"""

import bisect
import itertools
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

import psycopg

KEYS = 6
LEVELS = ("read committed", "repeatable read", "serializable")
FOLLOWING = ("shown", "other", "grouped", "joined", "over_shown", "over_grouped")
SOURCES = ("lists", "whole", *FOLLOWING)
TARGETS = ("lists", "shown", "grouped", "over_shown", "(SELECT key, list FROM lists JOIN names USING (key))")
SCHEMA = f"""
CREATE TABLE lists (key int PRIMARY KEY, list int[] NOT NULL);
CREATE TABLE names (key int PRIMARY KEY);
INSERT INTO lists SELECT g, '{{}}' FROM generate_series(0, {KEYS - 1}) g;
INSERT INTO names SELECT key FROM lists;
CREATE MATERIALIZED VIEW shown AS SELECT key, list FROM lists;
CREATE MATERIALIZED VIEW other AS SELECT key, list || '{{}}'::int[] AS list FROM lists WHERE key >= 0;
CREATE MATERIALIZED VIEW grouped AS SELECT key, max(list) AS list FROM lists GROUP BY key;
CREATE MATERIALIZED VIEW joined AS SELECT key, list FROM lists JOIN names USING (key);
CREATE MATERIALIZED VIEW over_shown AS SELECT key, list FROM shown WHERE key >= 0;
CREATE MATERIALIZED VIEW over_grouped AS SELECT key, list FROM grouped JOIN names USING (key);
CREATE MATERIALIZED VIEW whole AS SELECT key, list, row_number() OVER (ORDER BY key) FROM lists;
"""


@dataclass
class Transaction:
    """committed: True, False, or None where the answer got lost. Times are of one clock, of the client's side."""
    level: str = LEVELS[0]
    begun: float = 0
    appends: list[tuple[int, int]] = field(default_factory=list)  # (key, value)
    reads: list["Read"] = field(default_factory=list)
    committed: bool | None = None
    committing: float = 0
    ended: float = 0


@dataclass
class Read:
    start: float
    end: float
    own: frozenset[int]
    seen: dict[str, dict[int, list[int]]]  # by source, by key


class Anomaly(AssertionError):
    pass


class Clients:
    """Connections that append and read at random until told to stop."""

    def __init__(self, connect, seed: int):
        self.connect = connect
        self.seed = seed
        self.stopping = threading.Event()
        self.values = itertools.count(1)
        self.transactions: list[Transaction] = []
        self.refused = Counter()
        self.failures: list[BaseException] = []

    def start(self, count: int) -> list[threading.Thread]:
        threads = [threading.Thread(target=self.run, args=(number,)) for number in range(count)]
        for thread in threads:
            thread.start()
        return threads

    def run(self, number: int) -> None:
        chance = random.Random(f"{self.seed} {number}")
        connection = None
        try:
            while not self.stopping.is_set():
                if connection is None or connection.closed:
                    connection = self.connect()
                    connection.execute("SET freshet.on_stale = error")
                transaction = Transaction(chance.choice(LEVELS))
                self.transactions.append(transaction)
                try:
                    self.transact(connection, transaction, chance)
                except psycopg.Error as error:
                    self.refused[error.sqlstate or "connection"] += 1
                    transaction.committed = None if transaction.committing and error.sqlstate is None else False
                    if not connection.closed:
                        connection.execute("ROLLBACK")
        except BaseException as failure:
            self.failures.append(failure)
        finally:
            if connection is not None:
                connection.close()

    def transact(self, connection, transaction: Transaction, chance: random.Random) -> None:
        transaction.begun = time.monotonic()
        if chance.random() < 0.3:  # one statement, at the session's level
            connection.execute(f"SET default_transaction_isolation = '{transaction.level}'")
            transaction.begun = time.monotonic()
            self.read(connection, transaction, chance)
            transaction.committed = True
            return
        connection.execute(f"BEGIN ISOLATION LEVEL {transaction.level}")
        for _ in range(chance.randint(1, 4)):
            if chance.random() < 0.5:
                key, value = chance.randrange(KEYS), next(self.values)
                transaction.appends.append((key, value))
                connection.execute("UPDATE lists SET list = list || %s::int WHERE key = %s", (value, key))
            else:
                self.read(connection, transaction, chance)
        if chance.random() < 0.1:
            connection.execute("ROLLBACK")
            transaction.committed = False
            return
        transaction.committing = time.monotonic()
        connection.execute("COMMIT")
        transaction.ended = time.monotonic()
        transaction.committed = True

    @staticmethod
    def read(connection, transaction: Transaction, chance: random.Random) -> None:
        sources = chance.sample(SOURCES, chance.randint(1, 3))
        query = " UNION ALL ".join(f"SELECT '{source}', key, list FROM {source}" for source in sources)
        start = time.monotonic()
        rows = connection.execute(query).fetchall()
        read = Read(start, time.monotonic(), frozenset(value for _, value in transaction.appends), {s: {} for s in sources})
        for source, key, seen in rows:
            read.seen[source][key] = seen
        transaction.reads.append(read)


def subscribe(connection, target: str, done: threading.Event) -> dict[int, dict[int, list[int]]]:
    """What the changes of a target add up to, by the time of each."""
    columns = connection.execute("SELECT freshet.subscribe('s', %s)", (target,)).fetchone()[0]
    state, states, last = Counter(), {}, False
    while True:
        pending, _, _ = connection.execute("CALL freshet.wait('s', 100, NULL, NULL, NULL)").fetchone()
        if pending:
            for at, diff, key, seen in connection.execute(
                    f"SELECT * FROM freshet.changes('s') AS (mz_timestamp numeric, mz_diff bigint, {columns})").fetchall():
                state[key, tuple(seen)] += diff
                states[int(at)] = {key: list(seen) for (key, seen), count in state.items() if count}
        elif last:
            return states
        elif done.is_set():
            connection.execute("SELECT freshet.wait_fresh()")
            last = True


class Checker:
    """Raises Anomaly where a history is not as promised. final: the lists at the end."""

    def __init__(self, transactions: list[Transaction], final: dict[int, list[int]]):
        self.transactions = transactions
        self.final = final
        self.writer = {value: transaction for transaction in transactions for _, value in transaction.appends}
        self.place = {value: place for seen in final.values() for place, value in enumerate(seen)}
        self.vectors: set[tuple[int, ...]] = set()
        floor, self.ended, self.floors = [0] * KEYS, [], []
        for transaction in sorted((t for t in transactions if t.committed and t.ended), key=lambda t: t.ended):
            for key, value in transaction.appends:
                if value not in self.place:
                    raise Anomaly(f"{value} was committed and is lost")
                floor[key] = max(floor[key], self.place[value] + 1)
            self.ended.append(transaction.ended)
            self.floors.append(tuple(floor))

    def check(self) -> int:
        """How many reads there were."""
        for value in self.place:
            if self.writer[value].committed is False:
                raise Anomaly(f"{value} was taken back and is there")
        for transaction in self.transactions:
            self.check_transaction(transaction)
        self.check_chain()
        return sum(len(transaction.reads) for transaction in self.transactions)

    def vector(self, seen: dict[int, list[int]], own: frozenset[int] = frozenset()) -> tuple[int, ...]:
        """The lengths of lists as others see them."""
        if set(seen) != set(self.final):
            raise Anomaly(f"keys {sorted(seen)} were seen")
        lists = {key: [value for value in values if value not in own] for key, values in seen.items()}
        for key, values in lists.items():
            if values != self.final[key][:len(values)]:
                raise Anomaly(f"{values} was seen of {key}, which is {self.final[key]}")
        vector = tuple(len(lists[key]) for key in sorted(lists))
        for key, values in lists.items():
            for other, value in self.writer[values[-1]].appends if values else ():
                if value not in own and self.place.get(value, -1) >= vector[other]:
                    raise Anomaly(f"{value} was not seen with {values[-1]}, of one transaction")
        self.vectors.add(vector)
        return vector

    def check_transaction(self, transaction: Transaction) -> None:
        kept: dict[str, tuple[int, ...]] = {}  # by a transaction that has one snapshot
        for read in transaction.reads:
            vectors = {source: self.vector(seen, read.own if source == "lists" else frozenset())
                       for source, seen in read.seen.items()}
            one_snapshot = transaction.level != LEVELS[0]
            self.check_times(vectors, transaction.begun if one_snapshot else read.start, read.end)
            if len({vectors[source] for source in FOLLOWING if source in vectors}) > 1:
                raise Anomaly(f"one statement saw two cuts: {vectors}")
            if one_snapshot:
                for source, vector in vectors.items():
                    if kept.setdefault(source, vector) != vector:
                        raise Anomaly(f"{source} changed under one snapshot: {kept[source]}, {vector}")
                vectors = kept
            for vector in vectors.values():
                if "lists" in vectors and any(view > table for view, table in zip(vector, vectors["lists"])):
                    raise Anomaly(f"a view was ahead of the snapshot: {vectors}")

    def check_times(self, vectors: dict[str, tuple[int, ...]], since: float, end: float) -> None:
        before = bisect.bisect_left(self.ended, since)
        for source, vector in vectors.items():
            if before and any(seen < least for seen, least in zip(vector, self.floors[before - 1])):
                raise Anomaly(f"{source} was stale: {vector}, and {self.floors[before - 1]} was committed before")
            for key, length in enumerate(vector):
                if length and self.writer[self.final[key][length - 1]].committing > end:
                    raise Anomaly(f"{source} showed {self.final[key][length - 1]} before it was committed")

    def check_subscriptions(self, subscriptions: dict[str, dict[int, dict[int, list[int]]]]) -> int:
        """Each sum is what the target was at a cut, and its time is that cut's, whoever tells it. How many there were."""
        told = sorted((at, self.vector(state), target) for target, states in subscriptions.items() for at, state in states.items())
        for (at, vector, target), (later, next_vector, other) in itertools.pairwise(told):
            if any(seen > after for seen, after in zip(vector, next_vector)) or (at == later and vector != next_vector):
                raise Anomaly(f"{target} adds up to {vector} at {at}, and {other} to {next_vector} at {later}")
        self.check_chain()
        return len(told)

    def check_chain(self) -> None:
        """Snapshots see more and more."""
        for before, after in itertools.pairwise(sorted(self.vectors, key=lambda vector: (sum(vector), vector))):
            if any(earlier > later for earlier, later in zip(before, after)):
                raise Anomaly(f"neither of {before} and {after} was seen after the other")
