"""docs/django.md, block by block."""

import json
import sys
import urllib.request

from harness import system

from .pages import Reader

STALE = '''
from decimal import Decimal

from django.db import connection
from django.test import TransactionTestCase
from orders.models import Order, Total


class StaleTest(TransactionTestCase):
    def test_stale_until_refreshed(self):
        Order.objects.create(item="tea", amount=Decimal("3.50"))
        self.assertEqual(Total.objects.count(), 0)
        with connection.cursor() as cursor:
            cursor.execute("REFRESH MATERIALIZED VIEW CONCURRENTLY totals")
        self.assertEqual(Total.objects.count(), 1)
'''


def test_the_page(shop, tmp_path):
    reader = Reader("django.md", shop.server.ports["postgres"], tmp_path, shop.environment)
    reader.read()
    shop.connect()
    shop.execute("INSERT INTO orders_order (item, amount) VALUES ('tea', 3.50)")
    shop.assert_exact("totals")

    def order():
        shop.execute("INSERT INTO orders_order (item, amount) VALUES ('tea', 1)")

    assert reader.follow(3, order, sys.executable, "manage.py", "follow") == [
        "+1 tea 1 3.50", "-1 tea 1 3.50", "+1 tea 2 4.50"]
    assert events(shop, reader, order) == [(1, 2, "4.50"), (-1, 2, "4.50"), (1, 3, "5.50")]
    shop.assert_exact("totals")

    # what the page says about tests that assert staleness
    with open(tmp_path / "mysite" / "settings.py", "a") as settings:
        settings.write('DATABASES["default"]["OPTIONS"] = {"options": "-c freshet.maintain=off"}\n')
    (tmp_path / "orders" / "tests.py").write_text(STALE)
    reader.run(reader.blocks[-1], sys.executable, "manage.py", "test")


def events(shop, reader, order) -> list[tuple]:
    """Three server-sent events; order() comes after the first."""
    port = system.free_port()
    log = reader.directory / "uvicorn.log"
    with open(log, "w") as output:
        uvicorn = shop.start("-m", "uvicorn", "mysite.asgi:application", "--port", str(port),
                             cwd=reader.directory, output=output)
    try:
        system.wait_until(lambda: "Uvicorn running" in log.read_text(), 20, what="uvicorn started")
        seen = []
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/follow", timeout=20) as response:
            assert response.headers["content-type"] == "text/event-stream"
            for line in response:
                if line.startswith(b"data: "):
                    change = json.loads(line.removeprefix(b"data: "))
                    seen.append((change["diff"], change["orders"], change["amount"]))
                    if len(seen) == 1:
                        order()
                    if len(seen) == 3:
                        break
        system.wait_until(lambda: shop.value(
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%freshet.%' AND state = 'active'"
            " AND datname = 'shop' AND pid <> pg_backend_pid()") == 0, 20, what="the listener's subscription ends")
        return seen
    finally:
        uvicorn.kill()
        uvicorn.wait()
