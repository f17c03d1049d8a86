"""TPC-H: its tables with data made in SQL, its 22 queries, and its changes.

The data follow the specification's ranges, distributions that queries select by, and references. A value depends
on its row's key and a salt alone, so a refresh makes its rows the way the load does.
"""

import random

SCHEMA = """
CREATE TABLE region (r_regionkey int PRIMARY KEY, r_name char(25), r_comment varchar(152));
CREATE TABLE nation (n_nationkey int PRIMARY KEY, n_name char(25), n_regionkey int, n_comment varchar(152));
CREATE TABLE supplier (s_suppkey int PRIMARY KEY, s_name char(25), s_address varchar(40), s_nationkey int,
    s_phone char(15), s_acctbal numeric(15,2), s_comment varchar(101));
CREATE TABLE part (p_partkey int PRIMARY KEY, p_name varchar(55), p_mfgr char(25), p_brand char(10), p_type varchar(25),
    p_size int, p_container char(10), p_retailprice numeric(15,2), p_comment varchar(23));
CREATE TABLE partsupp (ps_partkey int, ps_suppkey int, ps_availqty int, ps_supplycost numeric(15,2),
    ps_comment varchar(199), PRIMARY KEY (ps_partkey, ps_suppkey));
CREATE TABLE customer (c_custkey int PRIMARY KEY, c_name varchar(25), c_address varchar(40), c_nationkey int,
    c_phone char(15), c_acctbal numeric(15,2), c_mktsegment char(10), c_comment varchar(117));
CREATE TABLE orders (o_orderkey int PRIMARY KEY, o_custkey int, o_orderstatus char(1), o_totalprice numeric(15,2),
    o_orderdate date, o_orderpriority char(15), o_clerk char(15), o_shippriority int, o_comment varchar(79));
CREATE TABLE lineitem (l_orderkey int, l_partkey int, l_suppkey int, l_linenumber int, l_quantity numeric(15,2),
    l_extendedprice numeric(15,2), l_discount numeric(15,2), l_tax numeric(15,2), l_returnflag char(1),
    l_linestatus char(1), l_shipdate date, l_commitdate date, l_receiptdate date, l_shipinstruct char(25),
    l_shipmode char(10), l_comment varchar(44), PRIMARY KEY (l_orderkey, l_linenumber));
CREATE FUNCTION pick(key bigint, salt bigint, below bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS
    'SELECT abs(hashint8extended(key, salt) % below)';
CREATE FUNCTION words(key bigint, salt bigint, choices text[]) RETURNS text LANGUAGE sql IMMUTABLE AS
    'SELECT choices[1 + pick(key, salt, array_length(choices, 1))]';
"""

INDEXES = """
CREATE INDEX ON nation (n_regionkey);
CREATE INDEX ON supplier (s_nationkey);
CREATE INDEX ON partsupp (ps_suppkey);
CREATE INDEX ON customer (c_nationkey);
CREATE INDEX ON orders (o_custkey);
CREATE INDEX ON orders (o_orderdate);
CREATE INDEX ON lineitem (l_partkey, l_suppkey);
CREATE INDEX ON lineitem (l_suppkey);
CREATE INDEX ON lineitem (l_shipdate);
"""

NATIONS = [("ALGERIA", 0), ("ARGENTINA", 1), ("BRAZIL", 1), ("CANADA", 1), ("EGYPT", 4), ("ETHIOPIA", 0), ("FRANCE", 3),
           ("GERMANY", 3), ("INDIA", 2), ("INDONESIA", 2), ("IRAN", 4), ("IRAQ", 4), ("JAPAN", 2), ("JORDAN", 4),
           ("KENYA", 0), ("MOROCCO", 0), ("MOZAMBIQUE", 0), ("PERU", 1), ("CHINA", 2), ("ROMANIA", 3),
           ("SAUDI ARABIA", 4), ("VIETNAM", 2), ("RUSSIA", 3), ("UNITED KINGDOM", 3), ("UNITED STATES", 1)]
REGIONS = ["AFRICA", "AMERICA", "ASIA", "EUROPE", "MIDDLE EAST"]
SEGMENTS = "'{AUTOMOBILE,BUILDING,FURNITURE,MACHINERY,HOUSEHOLD}'"
TYPES = ("'{STANDARD,SMALL,MEDIUM,LARGE,ECONOMY,PROMO}'", "'{ANODIZED,BURNISHED,PLATED,POLISHED,BRUSHED}'",
         "'{TIN,NICKEL,BRASS,STEEL,COPPER}'")
CONTAINERS = ("'{SM,MED,LG,JUMBO,WRAP}'", "'{CASE,BOX,PACK,PKG,JAR,DRUM,BAG,CAN}'")
COLOURS = "'{almond,antique,aquamarine,azure,beige,blush,chartreuse,forest,green,ivory,lavender,lemon,rose,saddle}'"
COMMENT = "'{the ironic deposits,pending foxes sleep,special packages among requests,bold accounts,carefully final ideas}'"


class Tpch:
    """Tables at a scale factor, and what changes them."""

    def __init__(self, connection, scale: float, seed: int = 1):
        self.connection = connection
        self.random = random.Random(seed)
        self.suppliers, self.parts, self.customers, self.orders = (
            max(1, int(base * scale)) for base in (10_000, 200_000, 150_000, 1_500_000))
        self.first, self.next = 1, self.orders + 1  # the oldest order there is, and the next new one
        self.refresh_size = max(1, self.orders // 1000)

    def load(self) -> None:
        execute = self.connection.execute
        execute(SCHEMA)
        for number, name in enumerate(REGIONS):
            execute("INSERT INTO region VALUES (%s, %s, 'a region')", (number, name))
        for number, (name, region) in enumerate(NATIONS):
            execute("INSERT INTO nation VALUES (%s, %s, %s, 'a nation')", (number, name, region))
        execute(f"""INSERT INTO supplier SELECT k, 'Supplier#' || lpad(k::text, 9, '0'), 'address ' || k, n,
            {phone('k', 'n')}, (pick(k, 2, 1099999) - 99999) / 100.0,
            CASE WHEN k % 25 = 0 THEN 'the Customer has some Complaints' ELSE words(k, 3, {COMMENT}) END
            FROM generate_series(1, {self.suppliers}) k, LATERAL (SELECT pick(k, 1, 25) AS n) n""")
        execute(f"""INSERT INTO part SELECT k, words(k, 1, {COLOURS}) || ' ' || words(k, 2, {COLOURS}),
            'Manufacturer#' || m, 'Brand#' || m || 1 + pick(k, 4, 5),
            words(k, 5, {TYPES[0]}) || ' ' || words(k, 6, {TYPES[1]}) || ' ' || words(k, 7, {TYPES[2]}), 1 + pick(k, 8, 50),
            words(k, 9, {CONTAINERS[0]}) || ' ' || words(k, 10, {CONTAINERS[1]}), {price('k')}, 'a part'
            FROM generate_series(1, {self.parts}) k, LATERAL (SELECT 1 + pick(k, 3, 5) AS m) m""")
        execute(f"""INSERT INTO partsupp SELECT k, {self.supplier('k', 'i')}, 1 + pick(k * 4 + i, 1, 9999),
            (100 + pick(k * 4 + i, 2, 99901)) / 100.0, words(k * 4 + i, 3, {COMMENT})
            FROM generate_series(1, {self.parts}) k, generate_series(0, 3) i""")
        execute(f"""INSERT INTO customer SELECT k, 'Customer#' || lpad(k::text, 9, '0'), 'address ' || k, n,
            {phone('k', 'n')}, (pick(k, 2, 1099999) - 99999) / 100.0, words(k, 3, {SEGMENTS}), words(k, 4, {COMMENT})
            FROM generate_series(1, {self.customers}) k, LATERAL (SELECT pick(k, 1, 25) AS n) n""")
        self.insert_orders(1, self.orders)
        execute(INDEXES)
        for table in ("region", "nation", "supplier", "part", "partsupp", "customer", "orders", "lineitem"):
            execute(f"VACUUM ANALYZE {table}")

    def supplier(self, part: str, number: str) -> str:
        """One of the four suppliers of a part."""
        return (f"({part} + {number} * ({self.suppliers} / 4 + ({part} - 1) / {self.suppliers})) % {self.suppliers} + 1")

    def insert_orders(self, first: int, last: int) -> None:
        """Orders and their lines; a third of the customers has none."""
        self.connection.execute(f"""INSERT INTO lineitem
            SELECT o, p, {self.supplier('p', 's')}, l, q, q * {price('p')}, pick(k, 4, 11) / 100.0, pick(k, 5, 9) / 100.0,
                CASE WHEN r > '1995-06-17' THEN 'N' WHEN pick(k, 9, 2) = 0 THEN 'R' ELSE 'A' END,
                CASE WHEN d > '1995-06-17' THEN 'O' ELSE 'F' END, d, {order_date('o')} + 30 + pick(k, 7, 61)::int, r,
                words(k, 10, '{{DELIVER IN PERSON,COLLECT COD,NONE,TAKE BACK RETURN}}'),
                words(k, 11, '{{REG AIR,AIR,RAIL,SHIP,TRUCK,MAIL,FOB}}'), words(k, 12, {COMMENT})
            FROM generate_series({first}, {last}) o, LATERAL generate_series(1, 1 + pick(o, 1, 7)) l,
                LATERAL (SELECT o * 8::bigint + l AS k) k, LATERAL (SELECT 1 + pick(k, 1, {self.parts}) AS p,
                    pick(k, 2, 4) AS s, 1 + pick(k, 3, 50) AS q, {order_date('o')} + 1 + pick(k, 6, 121)::int AS d) v,
                LATERAL (SELECT d + 1 + pick(k, 8, 30)::int AS r) r""")
        self.connection.execute(f"""INSERT INTO orders
            SELECT o, c - CASE WHEN c % 3 = 0 AND c > 1 THEN 1 ELSE 0 END,
                CASE WHEN every(l_linestatus = 'F') THEN 'F' WHEN every(l_linestatus = 'O') THEN 'O' ELSE 'P' END,
                round(sum(l_extendedprice * (1 + l_tax) * (1 - l_discount)), 2), {order_date('o')},
                words(o, 4, '{{1-URGENT,2-HIGH,3-MEDIUM,4-NOT SPECIFIED,5-LOW}}'),
                'Clerk#' || lpad(pick(o, 5, 1000)::text, 9, '0'), 0, words(o, 6, {COMMENT})
            FROM generate_series({first}, {last}) o JOIN lineitem ON l_orderkey = o,
                LATERAL (SELECT 1 + pick(o, 2, {self.customers}) AS c) c GROUP BY o, c""")

    # the refresh functions

    def rf1(self) -> None:
        """New orders."""
        with self.connection.transaction():
            self.insert_orders(self.next, self.next + self.refresh_size - 1)
        self.next += self.refresh_size

    def rf2(self) -> None:
        """The oldest orders go."""
        last = self.first + self.refresh_size - 1
        with self.connection.transaction():
            self.connection.execute("DELETE FROM lineitem WHERE l_orderkey BETWEEN %s AND %s", (self.first, last))
            self.connection.execute("DELETE FROM orders WHERE o_orderkey BETWEEN %s AND %s", (self.first, last))
        self.first = last + 1

    def updates(self) -> list[str]:
        """A statement for each table, of a few rows each, choosing what queries select and group by."""
        rng = self.random

        def some(column: str, count: int, much: int = 3) -> str:
            return f"{column} IN ({', '.join(str(rng.randint(1, count)) for _ in range(much))})"

        order = rng.randint(self.first, self.next - 1)
        return [
            f"UPDATE region SET r_name = r_name WHERE r_regionkey = {rng.randint(0, 4)}",
            "UPDATE region SET r_name = CASE r_regionkey WHEN 2 THEN 'EUROPE' ELSE 'ASIA' END WHERE r_regionkey IN (2, 3)"
            if rng.random() < 0.5 else "UPDATE region SET r_name = CASE r_regionkey WHEN 2 THEN 'ASIA' ELSE 'EUROPE' END "
                                       "WHERE r_regionkey IN (2, 3)",
            f"UPDATE nation SET n_regionkey = {rng.randint(0, 4)} WHERE n_nationkey = {rng.randint(0, 24)}",
            f"UPDATE supplier SET s_acctbal = s_acctbal + 10.5, s_nationkey = {rng.randint(0, 24)} "
            f"WHERE {some('s_suppkey', self.suppliers)}",
            f"UPDATE supplier SET s_comment = 'Customer Complaints' WHERE {some('s_suppkey', self.suppliers)}",
            f"UPDATE part SET p_size = {rng.choice((15, 23, 45))}, p_type = 'PROMO PLATED BRASS', p_brand = 'Brand#23', "
            f"p_container = 'MED BOX' WHERE {some('p_partkey', self.parts)}",
            f"UPDATE partsupp SET ps_supplycost = ps_supplycost * 0.9, ps_availqty = ps_availqty + 1 "
            f"WHERE {some('ps_partkey', self.parts)}",
            f"UPDATE customer SET c_mktsegment = 'BUILDING', c_acctbal = c_acctbal - 100, c_phone = '13-555-555-5555' "
            f"WHERE {some('c_custkey', self.customers)}",
            f"UPDATE orders SET o_orderdate = DATE '1995-03-01' + {rng.randint(0, 20)}, "
            f"o_comment = 'special quick requests' WHERE o_orderkey BETWEEN {order} AND {order + 3}",
            f"UPDATE orders SET o_custkey = {rng.randint(1, self.customers)} WHERE o_orderkey = {order}",
            f"UPDATE lineitem SET l_quantity = {rng.randint(1, 50)}, l_discount = 0.06, l_shipdate = DATE '1994-01-01' + "
            f"{rng.randint(0, 364)}, l_receiptdate = l_commitdate + 1 WHERE l_orderkey BETWEEN {order} AND {order + 5}",
        ]


def phone(key: str, nation: str) -> str:
    return (f"({nation} + 10) || '-' || 100 + pick({key}, 21, 900) || '-' || 100 + pick({key}, 22, 900) || '-' || "
            f"1000 + pick({key}, 23, 9000)")


def price(part: str) -> str:
    return f"((90000 + ({part} / 10) % 20001 + 100 * ({part} % 1000)) / 100.0)"


def order_date(order: str) -> str:
    return f"(DATE '1992-01-01' + pick({order}, 3, 2406)::int)"


# With the substitution parameters of the specification's validation. Where LIMIT could cut between equal rows, a
# key is added to the order.
QUERIES = {
    "q1": """SELECT l_returnflag, l_linestatus, sum(l_quantity) AS sum_qty, sum(l_extendedprice) AS sum_base_price,
        sum(l_extendedprice * (1 - l_discount)) AS sum_disc_price,
        sum(l_extendedprice * (1 - l_discount) * (1 + l_tax)) AS sum_charge, avg(l_quantity) AS avg_qty,
        avg(l_extendedprice) AS avg_price, avg(l_discount) AS avg_disc, count(*) AS count_order
        FROM lineitem WHERE l_shipdate <= date '1998-12-01' - interval '90' day
        GROUP BY l_returnflag, l_linestatus ORDER BY l_returnflag, l_linestatus""",
    "q2": """SELECT s_acctbal, s_name, n_name, p_partkey, p_mfgr, s_address, s_phone, s_comment
        FROM part, supplier, partsupp, nation, region
        WHERE p_partkey = ps_partkey AND s_suppkey = ps_suppkey AND p_size = 15 AND p_type LIKE '%BRASS'
        AND s_nationkey = n_nationkey AND n_regionkey = r_regionkey AND r_name = 'EUROPE'
        AND ps_supplycost = (SELECT min(ps_supplycost) FROM partsupp, supplier, nation, region
            WHERE p_partkey = ps_partkey AND s_suppkey = ps_suppkey AND s_nationkey = n_nationkey
            AND n_regionkey = r_regionkey AND r_name = 'EUROPE')
        ORDER BY s_acctbal DESC, n_name, s_name, p_partkey LIMIT 100""",
    "q3": """SELECT l_orderkey, sum(l_extendedprice * (1 - l_discount)) AS revenue, o_orderdate, o_shippriority
        FROM customer, orders, lineitem
        WHERE c_mktsegment = 'BUILDING' AND c_custkey = o_custkey AND l_orderkey = o_orderkey
        AND o_orderdate < date '1995-03-15' AND l_shipdate > date '1995-03-15'
        GROUP BY l_orderkey, o_orderdate, o_shippriority ORDER BY revenue DESC, o_orderdate, l_orderkey LIMIT 10""",
    "q4": """SELECT o_orderpriority, count(*) AS order_count FROM orders
        WHERE o_orderdate >= date '1993-07-01' AND o_orderdate < date '1993-07-01' + interval '3' month
        AND EXISTS (SELECT * FROM lineitem WHERE l_orderkey = o_orderkey AND l_commitdate < l_receiptdate)
        GROUP BY o_orderpriority ORDER BY o_orderpriority""",
    "q5": """SELECT n_name, sum(l_extendedprice * (1 - l_discount)) AS revenue
        FROM customer, orders, lineitem, supplier, nation, region
        WHERE c_custkey = o_custkey AND l_orderkey = o_orderkey AND l_suppkey = s_suppkey AND c_nationkey = s_nationkey
        AND s_nationkey = n_nationkey AND n_regionkey = r_regionkey AND r_name = 'ASIA'
        AND o_orderdate >= date '1994-01-01' AND o_orderdate < date '1994-01-01' + interval '1' year
        GROUP BY n_name ORDER BY revenue DESC""",
    "q6": """SELECT sum(l_extendedprice * l_discount) AS revenue FROM lineitem
        WHERE l_shipdate >= date '1994-01-01' AND l_shipdate < date '1994-01-01' + interval '1' year
        AND l_discount BETWEEN 0.06 - 0.01 AND 0.06 + 0.01 AND l_quantity < 24""",
    "q7": """SELECT supp_nation, cust_nation, l_year, sum(volume) AS revenue FROM (
        SELECT n1.n_name AS supp_nation, n2.n_name AS cust_nation, extract(year FROM l_shipdate) AS l_year,
            l_extendedprice * (1 - l_discount) AS volume
        FROM supplier, lineitem, orders, customer, nation n1, nation n2
        WHERE s_suppkey = l_suppkey AND o_orderkey = l_orderkey AND c_custkey = o_custkey
        AND s_nationkey = n1.n_nationkey AND c_nationkey = n2.n_nationkey
        AND ((n1.n_name = 'FRANCE' AND n2.n_name = 'GERMANY') OR (n1.n_name = 'GERMANY' AND n2.n_name = 'FRANCE'))
        AND l_shipdate BETWEEN date '1995-01-01' AND date '1996-12-31') AS shipping
        GROUP BY supp_nation, cust_nation, l_year ORDER BY supp_nation, cust_nation, l_year""",
    "q8": """SELECT o_year, sum(CASE WHEN nation = 'BRAZIL' THEN volume ELSE 0 END) / sum(volume) AS mkt_share FROM (
        SELECT extract(year FROM o_orderdate) AS o_year, l_extendedprice * (1 - l_discount) AS volume, n2.n_name AS nation
        FROM part, supplier, lineitem, orders, customer, nation n1, nation n2, region
        WHERE p_partkey = l_partkey AND s_suppkey = l_suppkey AND l_orderkey = o_orderkey AND o_custkey = c_custkey
        AND c_nationkey = n1.n_nationkey AND n1.n_regionkey = r_regionkey AND r_name = 'AMERICA'
        AND s_nationkey = n2.n_nationkey AND o_orderdate BETWEEN date '1995-01-01' AND date '1996-12-31'
        AND p_type = 'ECONOMY ANODIZED STEEL') AS all_nations GROUP BY o_year ORDER BY o_year""",
    "q9": """SELECT nation, o_year, sum(amount) AS sum_profit FROM (
        SELECT n_name AS nation, extract(year FROM o_orderdate) AS o_year,
            l_extendedprice * (1 - l_discount) - ps_supplycost * l_quantity AS amount
        FROM part, supplier, lineitem, partsupp, orders, nation
        WHERE s_suppkey = l_suppkey AND ps_suppkey = l_suppkey AND ps_partkey = l_partkey AND p_partkey = l_partkey
        AND o_orderkey = l_orderkey AND s_nationkey = n_nationkey AND p_name LIKE '%green%') AS profit
        GROUP BY nation, o_year ORDER BY nation, o_year DESC""",
    "q10": """SELECT c_custkey, c_name, sum(l_extendedprice * (1 - l_discount)) AS revenue, c_acctbal, n_name, c_address,
        c_phone, c_comment FROM customer, orders, lineitem, nation
        WHERE c_custkey = o_custkey AND l_orderkey = o_orderkey AND o_orderdate >= date '1993-10-01'
        AND o_orderdate < date '1993-10-01' + interval '3' month AND l_returnflag = 'R' AND c_nationkey = n_nationkey
        GROUP BY c_custkey, c_name, c_acctbal, c_phone, n_name, c_address, c_comment
        ORDER BY revenue DESC, c_custkey LIMIT 20""",
    "q11": """SELECT ps_partkey, sum(ps_supplycost * ps_availqty) AS value FROM partsupp, supplier, nation
        WHERE ps_suppkey = s_suppkey AND s_nationkey = n_nationkey AND n_name = 'GERMANY'
        GROUP BY ps_partkey HAVING sum(ps_supplycost * ps_availqty) > (
            SELECT sum(ps_supplycost * ps_availqty) * 0.0001 FROM partsupp, supplier, nation
            WHERE ps_suppkey = s_suppkey AND s_nationkey = n_nationkey AND n_name = 'GERMANY')
        ORDER BY value DESC""",
    "q12": """SELECT l_shipmode,
        sum(CASE WHEN o_orderpriority = '1-URGENT' OR o_orderpriority = '2-HIGH' THEN 1 ELSE 0 END) AS high_line_count,
        sum(CASE WHEN o_orderpriority <> '1-URGENT' AND o_orderpriority <> '2-HIGH' THEN 1 ELSE 0 END) AS low_line_count
        FROM orders, lineitem WHERE o_orderkey = l_orderkey AND l_shipmode IN ('MAIL', 'SHIP')
        AND l_commitdate < l_receiptdate AND l_shipdate < l_commitdate AND l_receiptdate >= date '1994-01-01'
        AND l_receiptdate < date '1994-01-01' + interval '1' year GROUP BY l_shipmode ORDER BY l_shipmode""",
    "q13": """SELECT c_count, count(*) AS custdist FROM (
        SELECT c_custkey, count(o_orderkey) FROM customer LEFT OUTER JOIN orders
            ON c_custkey = o_custkey AND o_comment NOT LIKE '%special%requests%' GROUP BY c_custkey
        ) AS c_orders (c_custkey, c_count) GROUP BY c_count ORDER BY custdist DESC, c_count DESC""",
    "q14": """SELECT 100.00 * sum(CASE WHEN p_type LIKE 'PROMO%' THEN l_extendedprice * (1 - l_discount) ELSE 0 END)
        / sum(l_extendedprice * (1 - l_discount)) AS promo_revenue FROM lineitem, part
        WHERE l_partkey = p_partkey AND l_shipdate >= date '1995-09-01'
        AND l_shipdate < date '1995-09-01' + interval '1' month""",
    "q15": """WITH revenue AS (SELECT l_suppkey AS supplier_no, sum(l_extendedprice * (1 - l_discount)) AS total_revenue
            FROM lineitem WHERE l_shipdate >= date '1996-01-01' AND l_shipdate < date '1996-01-01' + interval '3' month
            GROUP BY l_suppkey)
        SELECT s_suppkey, s_name, s_address, s_phone, total_revenue FROM supplier, revenue
        WHERE s_suppkey = supplier_no AND total_revenue = (SELECT max(total_revenue) FROM revenue) ORDER BY s_suppkey""",
    "q16": """SELECT p_brand, p_type, p_size, count(DISTINCT ps_suppkey) AS supplier_cnt FROM partsupp, part
        WHERE p_partkey = ps_partkey AND p_brand <> 'Brand#45' AND p_type NOT LIKE 'MEDIUM POLISHED%'
        AND p_size IN (49, 14, 23, 45, 19, 3, 36, 9)
        AND ps_suppkey NOT IN (SELECT s_suppkey FROM supplier WHERE s_comment LIKE '%Customer%Complaints%')
        GROUP BY p_brand, p_type, p_size ORDER BY supplier_cnt DESC, p_brand, p_type, p_size""",
    "q17": """SELECT sum(l_extendedprice) / 7.0 AS avg_yearly FROM lineitem, part
        WHERE p_partkey = l_partkey AND p_brand = 'Brand#23' AND p_container = 'MED BOX'
        AND l_quantity < (SELECT 0.2 * avg(l_quantity) FROM lineitem WHERE l_partkey = p_partkey)""",
    "q18": """SELECT c_name, c_custkey, o_orderkey, o_orderdate, o_totalprice, sum(l_quantity) FROM customer, orders, lineitem
        WHERE o_orderkey IN (SELECT l_orderkey FROM lineitem GROUP BY l_orderkey HAVING sum(l_quantity) > 280)
        AND c_custkey = o_custkey AND o_orderkey = l_orderkey
        GROUP BY c_name, c_custkey, o_orderkey, o_orderdate, o_totalprice
        ORDER BY o_totalprice DESC, o_orderdate, o_orderkey LIMIT 100""",
    "q19": """SELECT sum(l_extendedprice * (1 - l_discount)) AS revenue FROM lineitem, part
        WHERE (p_partkey = l_partkey AND p_brand = 'Brand#12' AND p_container IN ('SM CASE', 'SM BOX', 'SM PACK', 'SM PKG')
            AND l_quantity >= 1 AND l_quantity <= 1 + 10 AND p_size BETWEEN 1 AND 5
            AND l_shipmode IN ('AIR', 'AIR REG') AND l_shipinstruct = 'DELIVER IN PERSON')
        OR (p_partkey = l_partkey AND p_brand = 'Brand#23' AND p_container IN ('MED BAG', 'MED BOX', 'MED PKG', 'MED PACK')
            AND l_quantity >= 10 AND l_quantity <= 10 + 10 AND p_size BETWEEN 1 AND 10
            AND l_shipmode IN ('AIR', 'AIR REG') AND l_shipinstruct = 'DELIVER IN PERSON')
        OR (p_partkey = l_partkey AND p_brand = 'Brand#34' AND p_container IN ('LG CASE', 'LG BOX', 'LG PACK', 'LG PKG')
            AND l_quantity >= 20 AND l_quantity <= 20 + 10 AND p_size BETWEEN 1 AND 15
            AND l_shipmode IN ('AIR', 'AIR REG') AND l_shipinstruct = 'DELIVER IN PERSON')""",
    "q20": """SELECT s_name, s_address FROM supplier, nation WHERE s_suppkey IN (
            SELECT ps_suppkey FROM partsupp WHERE ps_partkey IN (SELECT p_partkey FROM part WHERE p_name LIKE 'forest%')
            AND ps_availqty > (SELECT 0.5 * sum(l_quantity) FROM lineitem WHERE l_partkey = ps_partkey
                AND l_suppkey = ps_suppkey AND l_shipdate >= date '1994-01-01'
                AND l_shipdate < date '1994-01-01' + interval '1' year))
        AND s_nationkey = n_nationkey AND n_name = 'CANADA' ORDER BY s_name""",
    "q21": """SELECT s_name, count(*) AS numwait FROM supplier, lineitem l1, orders, nation
        WHERE s_suppkey = l1.l_suppkey AND o_orderkey = l1.l_orderkey AND o_orderstatus = 'F'
        AND l1.l_receiptdate > l1.l_commitdate
        AND EXISTS (SELECT * FROM lineitem l2 WHERE l2.l_orderkey = l1.l_orderkey AND l2.l_suppkey <> l1.l_suppkey)
        AND NOT EXISTS (SELECT * FROM lineitem l3 WHERE l3.l_orderkey = l1.l_orderkey AND l3.l_suppkey <> l1.l_suppkey
            AND l3.l_receiptdate > l3.l_commitdate)
        AND s_nationkey = n_nationkey AND n_name = 'SAUDI ARABIA' GROUP BY s_name ORDER BY numwait DESC, s_name LIMIT 100""",
    "q22": """SELECT cntrycode, count(*) AS numcust, sum(c_acctbal) AS totacctbal FROM (
        SELECT substring(c_phone FROM 1 FOR 2) AS cntrycode, c_acctbal FROM customer
        WHERE substring(c_phone FROM 1 FOR 2) IN ('13', '31', '23', '29', '30', '18', '17')
        AND c_acctbal > (SELECT avg(c_acctbal) FROM customer WHERE c_acctbal > 0.00
            AND substring(c_phone FROM 1 FOR 2) IN ('13', '31', '23', '29', '30', '18', '17'))
        AND NOT EXISTS (SELECT * FROM orders WHERE o_custkey = c_custkey)) AS custsale
        GROUP BY cntrycode ORDER BY cntrycode""",
}
