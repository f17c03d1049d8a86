"""Nexmark: the tables of an auction site, its queries q0 to q22, and its events.

Of fifty events one is a new person, three are auctions and 46 are bids. As in the benchmark's generator half
of the bids go to a hot auction, and three of four persons who bid or sell are hot ones. An event depends on its number
alone; each has its own instant, five milliseconds after the one before.

Windows: TUMBLE is date_bin, HOP a generate_series of the windows an instant is in, SESSION a running sum of gaps.
q12's processing time is a column with what the generator says was the time; q13's side input is a table.
"""

import random
import string

EVENTS = "timestamp '2026-01-01'"

SCHEMA = """
CREATE TABLE person (id bigint PRIMARY KEY, name text, email_address text, credit_card text, city text, state text,
    date_time timestamp, extra text);
CREATE TABLE auction (id bigint PRIMARY KEY, item_name text, description text, initial_bid bigint, reserve bigint,
    date_time timestamp, expires timestamp, seller bigint, category bigint, extra text);
CREATE TABLE bid (auction bigint, bidder bigint, price bigint, channel text, url text, date_time timestamp,
    received timestamp, extra text);
CREATE TABLE side_input (key bigint PRIMARY KEY, value text);
INSERT INTO side_input SELECT k, 'side ' || k FROM generate_series(0, 99) k;
CREATE INDEX ON auction (seller);
CREATE INDEX ON auction (category);
CREATE INDEX ON bid (auction);
CREATE INDEX ON bid (bidder, auction);
CREATE INDEX ON bid (date_time);
CREATE INDEX ON bid (bidder, date_bin('10 s', received, timestamp '1970-01-01'));
CREATE INDEX ON bid (date_bin('10 s', date_time, timestamp '1970-01-01'));
CREATE INDEX ON bid (channel, (date_time::date));
CREATE FUNCTION pick(key bigint, salt bigint, below bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS
    'SELECT abs(hashint8extended(key, salt) % below)';
CREATE FUNCTION words(key bigint, salt bigint, choices text[]) RETURNS text LANGUAGE sql IMMUTABLE AS
    'SELECT choices[1 + pick(key, salt, array_length(choices, 1))]';
"""

TABLES = ("person", "auction", "bid", "side_input")

# The persons and auctions there are before event n: a person begins each fifty events, three auctions follow.
_PERSONS = "(n / 50)"
_AUCTIONS = "(n / 50 * 3 + least(greatest(n % 50 - 1, 0), 3))"
_TIME = f"{EVENTS} + n * interval '5 ms'"
_PERSON_OF = "CASE WHEN pick(n, {salt}, 4) > 0 THEN ({last} / 100) * 100 ELSE pick(n, {salt} + 1, {last} + 1) END"

INSERT = {
    "person": f"""INSERT INTO person SELECT {_PERSONS},
        words(n, 1, '{{Peter,Paul,Luke,John,Saul,Vicky,Kate,Julie,Sarah,Deiter}}') || ' ' ||
        words(n, 2, '{{Shultz,Abrams,Spencer,White,Bartels,Walton,Smith,Jones,Noris}}'), 'p' || n || '@example.com',
        lpad(pick(n, 3, 10000)::text, 4, '0'),
        words(n, 4, '{{Phoenix,Los Angeles,San Francisco,Boise,Portland,Bend,Redmond,Seattle,Kent,Cheyenne}}'),
        words(n, 5, '{{AZ,CA,ID,OR,WA,WY}}'), {_TIME}, repeat('x', 10)
        FROM generate_series($first::bigint, $last::bigint) n WHERE n % 50 = 0""",
    "auction": f"""INSERT INTO auction SELECT {_AUCTIONS}, 'item ' || n, 'described ' || pick(n, 1, 1000), pick(n, 2, 1000),
        pick(n, 2, 1000) + pick(n, 3, 1000), {_TIME}, {_TIME} + pick(n, 4, 20000) * interval '1 ms',
        {_PERSON_OF.format(salt=5, last=_PERSONS)}, 10 + pick(n, 7, 5), repeat('y', 10)
        FROM generate_series($first::bigint, $last::bigint) n WHERE n % 50 BETWEEN 1 AND 3""",
    "bid": f"""INSERT INTO bid SELECT CASE WHEN pick(n, 1, 2) = 0 THEN ({_AUCTIONS} - 1) / 100 * 100
            ELSE greatest({_AUCTIONS} - 1 - pick(n, 2, 100), 0) END,
        {_PERSON_OF.format(salt=3, last=_PERSONS)}, (100 * power(10, pick(n, 5, 6000000) / 1000000.0))::bigint, c,
        'https://www.nexmark.com/' || lower(c) || '/item' || pick(n, 6, 100) || '/page.htm?query=1' ||
            CASE WHEN c LIKE 'channel%' THEN '&channel_id=' || pick(n, 7, 10000) ELSE '' END,
        {_TIME}, {_TIME} + pick(n, 9, 50) * interval '1 ms', repeat('z', (n % 7)::int)
        FROM generate_series($first::bigint, $last::bigint) n,
            LATERAL (SELECT CASE WHEN pick(n, 8, 2) = 0 THEN words(n, 10, '{{Google,Facebook,Baidu,Apple}}')
                ELSE 'channel-' || pick(n, 11, 100) END AS c) c WHERE n % 50 > 3""",
}


class Nexmark:
    def __init__(self, connection, seed: int = 1):
        self.connection = connection
        self.random = random.Random(seed)
        self.events = 0

    def load(self, events: int) -> None:
        self.connection.execute(SCHEMA)
        self.add(events)
        for table in TABLES:
            self.connection.execute(f"VACUUM ANALYZE {table}")

    def add(self, events: int) -> None:
        """The next events, in one transaction."""
        with self.connection.transaction():
            for statement in INSERT.values():
                self.connection.execute(string.Template(statement).substitute(
                    first=self.events, last=self.events + events - 1))
        self.events += events

    def changes(self) -> list[str]:
        """What the benchmark does not have: something later found to be wrong."""
        rng = self.random

        def some(column: str, count: int) -> str:
            return f"{column} IN ({', '.join(str(rng.randrange(count)) for _ in range(3))})"

        late = f"date_time > {EVENTS} + interval '5 ms' * {max(0, self.events - rng.randint(1, 3000))}"
        auctions, persons = self.events // 50 * 3, self.events // 50
        return [
            f"DELETE FROM bid WHERE {late} AND price % 5 = 0",
            f"UPDATE bid SET price = price * 2 WHERE {some('auction', auctions)}",
            f"UPDATE bid SET channel = 'Apple', bidder = {rng.randrange(persons)} WHERE {late} AND price % 7 = 0",
            f"UPDATE auction SET category = 10, expires = expires + interval '5 s' WHERE {some('id', auctions)}",
            f"UPDATE auction SET seller = {rng.randrange(persons)} WHERE {some('id', auctions)}",
            f"DELETE FROM auction WHERE {some('id', auctions)}",
            f"UPDATE person SET state = 'OR' WHERE {some('id', persons)}",
            f"DELETE FROM person WHERE {some('id', persons)}",
            f"UPDATE side_input SET value = value || '!' WHERE {some('key', 100)}",
            f"DELETE FROM bid WHERE {some('bidder', persons)} AND {late}",
        ]


def tumble(column: str) -> str:
    return f"date_bin('10 s', {column}, timestamp '1970-01-01')"


_HOP = """SELECT b.auction, count(*) AS num, w.starttime FROM bid b CROSS JOIN LATERAL generate_series(
    date_bin('2 s', b.date_time, timestamp '1970-01-01') - interval '8 s',
    date_bin('2 s', b.date_time, timestamp '1970-01-01'), interval '2 s') AS w (starttime) GROUP BY b.auction, w.starttime"""

_WINNING = """SELECT a.*, b.auction, b.bidder, b.price, b.date_time AS bid_date_time,
    row_number() OVER (PARTITION BY a.id ORDER BY b.price DESC, b.date_time) AS rownum
    FROM auction a, bid b WHERE a.id = b.auction AND b.date_time BETWEEN a.date_time AND a.expires"""

_RANKS = ", ".join(f"count(*) FILTER (WHERE price {bounds}) AS rank{n}_bids, "
                   f"count(DISTINCT bidder) FILTER (WHERE price {bounds}) AS rank{n}_bidders, "
                   f"count(DISTINCT auction) FILTER (WHERE price {bounds}) AS rank{n}_auctions"
                   for n, bounds in ((1, "< 10000"), (2, "BETWEEN 10000 AND 999999"), (3, ">= 1000000")))
_TOTALS = "count(*) AS total_bids, count(DISTINCT bidder) AS total_bidders, count(DISTINCT auction) AS total_auctions"

QUERIES = {
    "q0": "SELECT auction, bidder, price, date_time, extra FROM bid",
    "q1": "SELECT auction, bidder, 0.908 * price AS price, date_time, extra FROM bid",
    "q2": "SELECT auction, price FROM bid WHERE auction % 123 = 0",
    "q3": """SELECT p.name, p.city, p.state, a.id FROM auction a JOIN person p ON a.seller = p.id
        WHERE a.category = 10 AND p.state IN ('OR', 'ID', 'CA')""",
    "q4": """SELECT q.category, avg(q.final) FROM (SELECT max(b.price) AS final, a.category FROM auction a, bid b
        WHERE a.id = b.auction AND b.date_time BETWEEN a.date_time AND a.expires GROUP BY a.id, a.category) q
        GROUP BY q.category""",
    "q5": f"""SELECT c.auction, c.num FROM ({_HOP}) c JOIN (
        SELECT max(num) AS maxn, starttime FROM ({_HOP}) n GROUP BY starttime) m
        ON c.starttime = m.starttime AND c.num >= m.maxn""",
    "q6": """SELECT seller, avg(final) OVER (PARTITION BY seller ORDER BY expires, id
        ROWS BETWEEN 10 PRECEDING AND CURRENT ROW) FROM (SELECT a.id, a.seller, a.expires, max(b.price) AS final
        FROM auction a, bid b WHERE a.id = b.auction AND b.date_time BETWEEN a.date_time AND a.expires
        GROUP BY a.id, a.seller, a.expires) q""",
    "q7": f"""SELECT b.auction, b.price, b.bidder, b.date_time, b.extra FROM bid b JOIN (
        SELECT max(price) AS maxprice, {tumble('date_time')} AS starttime FROM bid GROUP BY {tumble('date_time')}) m
        ON b.price = m.maxprice AND {tumble('b.date_time')} = m.starttime""",
    "q8": f"""SELECT p.id, p.name, p.starttime FROM (
        SELECT id, name, {tumble('date_time')} AS starttime FROM person GROUP BY id, name, {tumble('date_time')}) p JOIN (
        SELECT seller, {tumble('date_time')} AS starttime FROM auction GROUP BY seller, {tumble('date_time')}) a
        ON p.id = a.seller AND p.starttime = a.starttime""",
    "q9": f"""SELECT id, item_name, description, initial_bid, reserve, date_time, expires, seller, category, extra,
        auction, bidder, price, bid_date_time FROM ({_WINNING}) q WHERE rownum <= 1""",
    "q10": """SELECT auction, bidder, price, date_time, extra, to_char(date_time, 'YYYY-MM-DD') AS day,
        to_char(date_time, 'HH24:MI') AS minute FROM bid""",
    "q11": """SELECT bidder, count(*) AS bid_count, min(date_time) AS starttime,
        max(date_time) + interval '10 s' AS endtime FROM (
            SELECT bidder, date_time, sum(new) OVER (PARTITION BY bidder ORDER BY date_time) AS session FROM (
                SELECT bidder, date_time, CASE WHEN date_time - lag(date_time) OVER
                    (PARTITION BY bidder ORDER BY date_time) < interval '10 s' THEN 0 ELSE 1 END AS new FROM bid) g) s
        GROUP BY bidder, session""",
    "q12": f"""SELECT bidder, count(*) AS bid_count, {tumble('received')} AS starttime FROM bid
        GROUP BY bidder, {tumble('received')}""",
    "q13": """SELECT b.auction, b.bidder, b.price, b.date_time, s.value FROM bid b
        JOIN side_input s ON s.key = b.auction % 100""",
    "q14": """SELECT auction, bidder, 0.908 * price AS price, CASE
        WHEN extract(hour FROM date_time) BETWEEN 8 AND 18 THEN 'dayTime'
        WHEN extract(hour FROM date_time) <= 6 OR extract(hour FROM date_time) >= 20 THEN 'nightTime'
        ELSE 'otherTime' END AS bid_time_type, date_time, extra,
        length(extra) - length(replace(extra, 'z', '')) AS c_counts FROM bid
        WHERE 0.908 * price > 1000000 AND 0.908 * price < 50000000""",
    "q15": f"""SELECT date_time::date AS day, {_TOTALS}, {_RANKS} FROM bid GROUP BY date_time::date""",
    "q16": f"""SELECT channel, date_time::date AS day, max(to_char(date_time, 'HH24:MI')) AS minute, {_TOTALS}, {_RANKS}
        FROM bid GROUP BY channel, date_time::date""",
    "q17": """SELECT auction, date_time::date AS day, count(*) AS total_bids,
        count(*) FILTER (WHERE price < 10000) AS rank1_bids,
        count(*) FILTER (WHERE price >= 10000 AND price < 1000000) AS rank2_bids,
        count(*) FILTER (WHERE price >= 1000000) AS rank3_bids, min(price) AS min_price, max(price) AS max_price,
        avg(price) AS avg_price, sum(price) AS sum_price FROM bid GROUP BY auction, date_time::date""",
    "q18": """SELECT auction, bidder, price, channel, url, date_time, extra FROM (
        SELECT *, row_number() OVER (PARTITION BY bidder, auction ORDER BY date_time DESC) AS rank_number FROM bid) b
        WHERE rank_number <= 1""",
    "q19": """SELECT * FROM (SELECT *, row_number() OVER (PARTITION BY auction ORDER BY price DESC, date_time) AS rank_number
        FROM bid) b WHERE rank_number <= 10""",
    "q20": """SELECT b.auction, b.bidder, b.price, b.channel, b.url, b.date_time, b.extra AS bid_extra, a.item_name,
        a.description, a.initial_bid, a.reserve, a.date_time AS auction_date_time, a.expires, a.seller, a.category,
        a.extra FROM bid b JOIN auction a ON b.auction = a.id WHERE a.category = 10""",
    "q21": """SELECT auction, bidder, price, channel, CASE WHEN lower(channel) = 'apple' THEN '0'
        WHEN lower(channel) = 'google' THEN '1' WHEN lower(channel) = 'facebook' THEN '2'
        WHEN lower(channel) = 'baidu' THEN '3' ELSE substring(url FROM '(?:&|^)channel_id=([^&]*)') END AS channel_id
        FROM bid WHERE substring(url FROM '(?:&|^)channel_id=([^&]*)') IS NOT NULL
        OR lower(channel) IN ('apple', 'google', 'facebook', 'baidu')""",
    "q22": """SELECT auction, bidder, price, channel, split_part(url, '/', 4) AS dir1, split_part(url, '/', 5) AS dir2,
        split_part(url, '/', 6) AS dir3 FROM bid""",
}
