"""APScheduler: for Flask and lightweight applications. Argument: how often, in minutes."""
import sys
import threading

import psycopg2
from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED
from apscheduler.schedulers.background import BackgroundScheduler


def refresh_dashboard():
    conn = psycopg2.connect("dbname=myapp")
    conn.autocommit = True
    with conn.cursor() as cur:
        cur.execute(
            "REFRESH MATERIALIZED VIEW CONCURRENTLY mv_dashboard"
        )
    conn.close()


ran = threading.Semaphore(0)


def report(event):
    print("failed:" if event.exception else "refreshed", event.exception or "")
    ran.release()


scheduler = BackgroundScheduler()
scheduler.add_listener(report, EVENT_JOB_EXECUTED | EVENT_JOB_ERROR)
scheduler.add_job(refresh_dashboard, 'interval', minutes=float(sys.argv[1]))
scheduler.start()
for _ in range(3):
    assert ran.acquire(timeout=20)
scheduler.shutdown()
