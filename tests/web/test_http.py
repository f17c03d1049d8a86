"""HTTP/1.1 over sockets: framing, order, limits and ends of connections. Single requests are in server/test/test_http.c."""

import socket
import ssl
import struct
import time

import pytest
from harness import paths, system
from harness.server import Freshet

from .raw import Raw, request


def test_who_is_there(port):
    with Raw(port) as raw:
        answer = raw.ask("GET", "/")
        assert answer.status == 200 and answer.fields["content-type"].startswith("application/json")
        assert answer.json["ok"] and answer.json["cluster_name"] == "crate"
        head = raw.ask("HEAD", "/")
        assert (head.status, head.fields["content-length"]) == (200, str(len(answer.body)))
        assert raw.ask("GET", "/nothing").status == 404


def test_pipelined_answers_keep_their_order(port):
    targets = [["/", "/nothing", "/"][i % 3] for i in range(1000)]
    with Raw(port) as raw:
        raw.send(*(request("GET", target) for target in targets))
        assert [raw.answer().status for _ in targets] == [200 if target == "/" else 404 for target in targets]
        assert raw.ask("GET", "/").status == 200


def test_a_byte_at_a_time(port):
    with Raw(port) as raw:
        for byte in request("GET", "/") + request("HEAD", "/"):
            raw.send(bytes([byte]))
        assert raw.answer().status == 200
        assert raw.answer(head=True).status == 200


@pytest.mark.parametrize("protocols", [[], ["http/1.1"], ["h2", "http/1.1"]])
def test_tls_on_the_same_port(port, protocols):
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(protocols)
    with Raw(port, context) as raw:
        assert raw.socket.selected_alpn_protocol() == ("http/1.1" if protocols else None)
        assert raw.ask("GET", "/").status == 200
        assert raw.ask("GET", "/").status == 200


def test_another_protocols_tls_is_refused(port):
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["postgresql"])
    with pytest.raises((ssl.SSLError, ConnectionError)):
        Raw(port, context)


def test_connection_close(port):
    with Raw(port) as raw:
        assert raw.ask("GET", "/", connection="close").fields["connection"] == "close"
        assert raw.at_end()


def test_http_1_0(port):
    with Raw(port) as raw:
        raw.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert raw.answer().fields["connection"] == "keep-alive"
        raw.send(b"GET / HTTP/1.0\r\n\r\n")
        assert raw.answer().status == 200
        assert raw.at_end()


def test_a_client_that_closed_its_end_gets_its_answers(port):
    with Raw(port) as raw:
        raw.send(request("GET", "/"), request("GET", "/nothing"), request("GET", "/"))
        raw.socket.shutdown(socket.SHUT_WR)
        assert [raw.answer().status for _ in range(3)] == [200, 404, 200]
        assert raw.at_end()


def test_half_a_request_and_the_end(port):
    with Raw(port) as raw:
        raw.send(b"GET / HTTP/1.1\r\nHost: loc")
        raw.socket.shutdown(socket.SHUT_WR)
        assert raw.at_end()


def test_an_answer_before_the_body_ends_the_connection(port):
    """No 100 Continue for a body nobody wants, and nothing of it is taken for a request."""
    with Raw(port) as raw:
        raw.send(request("POST", "/nobody", content_length="100", expect="100-continue"))
        answer = raw.answer()
        assert answer.status == 403 and answer.fields["connection"] == "close"
        raw.send(request("GET", "/"))
        assert raw.at_end()


@pytest.mark.parametrize("bad, status", [
    (b"GET / HTTP/1.1\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
    (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", 400),
    (b"GET /" + b"x" * 4096 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
    (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"x" * 8192 + b"\r\n\r\n", 431),
    (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"a: b\r\n" * 101 + b"\r\n", 431),
    (b"GET / HTTP/1.1\r\nHost: x\r\nExpect: miracles\r\n\r\n", 417),
    (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Encoding: br\r\nContent-Length: 3\r\n\r\nabc", 415),
    (b"\x00\x00\x00\x08\x04\xd2\x16\x2f\r\n\r\n", 400),
])
def test_refused(port, bad, status):
    """And what comes behind it is not looked at."""
    with Raw(port) as raw:
        raw.send(request("GET", "/"), bad, request("GET", "/"))
        assert raw.answer().status == 200
        answer = raw.answer()
        assert (answer.status, answer.fields["connection"]) == (status, "close")
        assert raw.at_end()


def test_broken_tls(port):
    for junk in (b"\x16\x03\x01\x00\x05junk!", b"\x16" * 600):
        with Raw(port) as raw:
            raw.send(junk)
            raw.at_end()
    with Raw(port) as raw:
        assert raw.ask("GET", "/").status == 200


def test_a_slow_request_delays_nobody(port):
    with Raw(port) as slow, Raw(port) as other:
        slow.send(b"GET / HT")
        begun = time.monotonic()
        for _ in range(20):
            assert other.ask("GET", "/").status == 200
        assert time.monotonic() - begun < 5
        slow.send(b"TP/1.1\r\nHost: localhost\r\n\r\n")
        assert slow.answer().status == 200


def reset(raw: Raw) -> None:
    raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def test_resets_at_any_place(port):
    whole = request("GET", "/")
    for length in range(len(whole)):
        with Raw(port) as raw:
            raw.send(whole[:length])
            reset(raw)
    with Raw(port) as raw:
        assert raw.ask("GET", "/").status == 200


def test_connections_leave_descriptors_for_others(tmp_path, monkeypatch):
    """Half of them: who comes beyond that is not let in, and PostgreSQL's clients still are."""
    limited = tmp_path / "freshet"
    limited.write_text(f'#!/bin/sh\nulimit -n 400\nexec {paths.freshet_bin()} "$@"\n')
    limited.chmod(0o755)
    monkeypatch.setenv("FRESHET_BIN", str(limited))
    server = Freshet(ports={"cratedb": system.free_port()}).start()
    try:
        visitors = [Raw(server.ports["cratedb"], timeout=5) for _ in range(250)]
        let_in = 0
        for raw in visitors:
            try:
                let_in += raw.ask("GET", "/").status == 200
            except (EOFError, ConnectionError):
                pass
        assert let_in == 200
        server.psycopg("postgres").close()
        for raw in visitors:
            raw.__exit__()
    finally:
        server.stop()
        server.remove()
