"""A web page in a real browser on this machine asks for what only a trusted role may do."""

import http.server
import json
import os
import shutil
import subprocess
import threading

import pytest

from .raw import Raw

BROWSERS = ("chromium-headless-shell", "chromium")
STATEMENT = "CREATE TABLE made_by_a_page (x INT)"

PAGE = """<!DOCTYPE html><body><script>
const tried = [];
const statement = JSON.stringify({stmt: "STATEMENT"});
async function attempt(name, url, options) {
    try {
        const answer = await fetch(url, options);
        tried.push(name + " " + answer.type + " " + answer.status);
    } catch (error) {
        tried.push(name + " failed");
    }
}
async function all() {
    for (const host of HOSTS) {
        const url = "http://" + host + "/_sql";
        await attempt("simple", url, {method: "POST", body: statement, mode: "no-cors"});
        await attempt("cors", url, {method: "POST", body: statement});
        await attempt("json", url, {method: "POST", body: statement, headers: {"Content-Type": "application/json"}});
        await attempt("credentials", url, {method: "POST", body: statement, mode: "no-cors", credentials: "include"});
        await attempt("beacon", url, {method: "POST", body: statement, mode: "no-cors", keepalive: true});
        navigator.sendBeacon(url, statement);
        await attempt("get", "http://" + host + "/", {mode: "no-cors"});
    }
    const form = document.createElement("form");
    form.method = "POST";
    form.enctype = "text/plain";
    form.target = "frame";
    form.action = "http://" + HOSTS[0] + "/_sql";
    form.innerHTML = `<input name='{"stmt": "STATEMENT", "args": ["' value='"]}'>`;
    document.body.append(form);
    const frame = document.createElement("iframe");
    frame.name = "frame";
    document.body.append(frame);
    const loaded = new Promise(done => frame.onload = done);
    form.submit();
    await loaded;
    await fetch("/done", {method: "POST", body: JSON.stringify(tried)});
}
all();
</script></body>"""


class Site(http.server.ThreadingHTTPServer):
    """A site with that page; `tried` is what its page says it did."""

    def __init__(self, hosts):
        super().__init__(("127.0.0.1", 0), Visit)
        self.page = PAGE.replace("HOSTS", json.dumps(hosts)).replace("STATEMENT", STATEMENT)
        self.tried = None
        self.done = threading.Event()


class Visit(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        page = self.server.page.encode() if self.path == "/" else b""
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def do_POST(self):
        self.server.tried = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(204)
        self.end_headers()
        self.server.done.set()

    def log_message(self, *_):
        pass


@pytest.fixture
def browser():
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if not found:
        assert not os.environ.get("CI"), "no browser; make deps installs one"
        pytest.skip("no browser; make deps installs one")
    return found


def test_a_page_can_do_nothing(server, port, browser, tmp_path):
    with Raw(port) as raw:  # who is no page is let do it
        for statement in (STATEMENT, "DROP TABLE made_by_a_page"):
            assert raw.ask("POST", "/_sql", json.dumps({"stmt": statement})).status == 200
    site = Site([f"127.0.0.1:{port}", f"localhost:{port}", f"rebound.example:{port}"])
    threading.Thread(target=site.serve_forever, daemon=True).start()
    process = subprocess.Popen(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}", "--remote-debugging-port=0",
         "--host-resolver-rules=MAP *.example 127.0.0.1", "--disable-features=LocalNetworkAccessChecks",
         f"http://page.example:{site.server_address[1]}/"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        assert site.done.wait(60), "the page has not finished"
    finally:
        process.kill()
        process.wait()
        site.shutdown()
    # what reached the door was an answer the page cannot read; nothing of it was done
    assert sum(line.startswith("simple opaque") for line in site.tried) == 3, site.tried
    assert not any("200" in line for line in site.tried), site.tried
    with server.psycopg("postgres") as connection:
        assert connection.execute("SELECT count(*) FROM pg_class WHERE relname = 'made_by_a_page'").fetchone() == (0,)
