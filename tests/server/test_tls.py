"""TLS at the doors, and who gets in."""

import os
import shutil
import signal
import socket
import ssl
import struct
import subprocess

import psycopg
import psycopg2
import pytest

from harness import system

from .wire import GSS_REQUEST, SSL_REQUEST, Wire, fields, query, startup


def encrypted(connection) -> bool:
    return connection.info.ssl_in_use


@pytest.mark.parametrize("mode, tls", [
    ("disable", False), ("allow", False), ("prefer", True), ("require", True)])
@pytest.mark.parametrize("door", ["postgres", "materialize"])
def test_sslmode(freshet, door, mode, tls):
    with freshet.psycopg2(door, sslmode=mode) as connection:
        assert encrypted(connection) is tls


@pytest.mark.parametrize("mode", ["verify-ca", "verify-full"])
def test_the_certificate_made_at_the_first_start_can_be_verified(freshet, mode, tmp_path):
    root = tmp_path / "root.crt"
    shutil.copy(freshet.data / "tls" / "ca.crt", root)
    with freshet.psycopg2(sslmode=mode, sslrootcert=root, host="localhost") as connection:
        assert encrypted(connection)
    with freshet.psycopg2(sslmode=mode, sslrootcert=root, host="127.0.0.1") as connection:
        assert encrypted(connection)


def make_certificate(directory, name: str) -> tuple[str, str]:
    certificate, key = directory / f"{name}.crt", directory / f"{name}.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                    "-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost",
                    "-out", certificate, "-keyout", key], check=True, capture_output=True)
    for path in (certificate, key):
        os.chmod(path, 0o600)
        system.own(path)
    return str(certificate), str(key)


def served_certificate(server) -> bytes:
    with Wire(server.ports["materialize"]) as wire:
        wire.start_tls()
        return wire.socket.getpeercert(binary_form=True)


def test_a_certificate_of_ones_own_and_its_reload(fresh_server):
    fresh_server.stop()
    certificate, key = make_certificate(fresh_server.dir, "first")
    fresh_server.arguments = ["--tls-cert", certificate, "--tls-key", key]
    fresh_server.start()
    with fresh_server.psycopg2(sslmode="verify-full", sslrootcert=certificate,
                               host="localhost") as connection:
        first = served_certificate(fresh_server)
        newer, newer_key = make_certificate(fresh_server.dir, "second")
        os.replace(newer_key, key)
        os.replace(newer, certificate)
        fresh_server.process.send_signal(signal.SIGHUP)
        system.wait_until(lambda: served_certificate(fresh_server) != first, 10)
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        with open(certificate, "w") as broken:
            broken.write("no certificate")
        second = served_certificate(fresh_server)
        fresh_server.process.send_signal(signal.SIGHUP)
        system.wait_until(lambda: "keeping the old" in fresh_server.output.read_text(), 10)
        assert served_certificate(fresh_server) == second
    shutil.copy(newer if os.path.exists(newer) else fresh_server.data / "tls/server.crt", certificate)


def described(certificate) -> str:
    return subprocess.run(["openssl", "x509", "-in", certificate, "-noout", "-text"], check=True, capture_output=True,
                          text=True).stdout


def test_the_certificate_is_a_servers_and_renewed_by_itself(fresh_server):
    tls = fresh_server.data / "tls"
    assert "CA:FALSE" in described(tls / "server.crt") and "CA:TRUE" in described(tls / "ca.crt")
    assert (tls / "ca.key").stat().st_mode & 0o777 == 0o600
    first, authority = served_certificate(fresh_server), (tls / "ca.crt").read_bytes()
    fresh_server.process.send_signal(signal.SIGHUP)
    # one that ends within a month, by the same authority
    request = subprocess.run(["openssl", "req", "-new", "-key", tls / "server.key", "-subj", "/CN=freshet"], check=True,
                             capture_output=True).stdout
    subprocess.run(["openssl", "x509", "-req", "-days", "20", "-CA", tls / "ca.crt", "-CAkey", tls / "ca.key",
                    "-set_serial", "7", "-out", tls / "server.crt"], input=request, check=True, capture_output=True)
    short = (tls / "server.crt").read_bytes()
    fresh_server.process.send_signal(signal.SIGHUP)
    system.wait_until(lambda: served_certificate(fresh_server) != first, what="the certificate is made anew")
    assert (tls / "server.crt").read_bytes() != short and (tls / "ca.crt").read_bytes() == authority
    with fresh_server.psycopg2(sslmode="verify-full", sslrootcert=tls / "ca.crt", host="localhost") as connection:
        assert encrypted(connection)


@pytest.mark.parametrize("door", ["postgres", "native"])
def test_no_cbc(freshet, door):
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    for ciphers, accepted in (("ECDHE-ECDSA-AES128-GCM-SHA256", True), ("ECDHE-ECDSA-AES256-SHA384", False)):
        context.set_ciphers(ciphers)
        with socket.create_connection(("127.0.0.1", freshet.ports[door]), 10) as connection:
            connection.sendall(SSL_REQUEST)
            assert connection.recv(1) == b"S"
            try:
                context.wrap_socket(connection).close()
                assert accepted
            except (ssl.SSLError, ConnectionError):
                assert not accepted


def test_gss_is_declined_and_tls_follows(freshet):
    with Wire(freshet.ports["postgres"]) as wire:
        wire.send(GSS_REQUEST)
        assert wire.receive_exactly(1) == b"N"
        wire.start_tls()
        wire.log_in()


def direct_tls(port: int, protocols: list[str]) -> ssl.SSLSocket:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(protocols)
    return context.wrap_socket(socket.create_connection(("127.0.0.1", port), 10))


def test_tls_without_asking(freshet):
    wire = Wire(freshet.ports["postgres"])
    wire.socket.close()
    wire.socket = direct_tls(freshet.ports["postgres"], ["postgresql"])
    assert wire.socket.selected_alpn_protocol() == "postgresql"
    wire.log_in()
    wire.send(query("SELECT 42"))
    assert ("D", b"\0\1\0\0\0\x0242") in wire.until("Z")


def test_tls_without_asking_needs_the_right_protocol(freshet):
    """What another protocol's client says must not be taken for PostgreSQL's."""
    with pytest.raises((ssl.SSLError, ConnectionError)):
        direct_tls(freshet.ports["postgres"], ["http/1.1"])
    wire = Wire(freshet.ports["postgres"])
    wire.socket.close()
    wire.socket = direct_tls(freshet.ports["postgres"], [])
    wire.send(startup(user="postgres", database="materialize"))
    kind, body = wire.receive()
    assert (kind, fields(body)["C"]) == ("E", "08P01")
    assert wire.at_end()


def test_clear_bytes_behind_the_request_for_tls_are_refused(freshet):
    with Wire(freshet.ports["postgres"]) as wire:
        wire.send(SSL_REQUEST, startup(user="postgres", database="materialize"))
        kind, body = wire.receive()
        assert (kind, fields(body)["C"]) == ("E", "08P01")
        assert "unencrypted data after SSL request" in fields(body)["M"]
        assert wire.at_end()


@pytest.mark.parametrize("junk", [b"\x16\x03\x01\x00\x05junk!", b"\x16" * 600, b"\x16\x03\x01\xff\xff" + b"a" * 70000])
def test_broken_tls_ends_only_its_own_connection(freshet, junk):
    with Wire(freshet.ports["postgres"]) as wire:
        try:
            wire.send(junk)
            while wire.socket.recv(4096):
                pass
        except ConnectionError:
            pass
    with Wire(freshet.ports["postgres"]) as wire:
        wire.send(SSL_REQUEST)
        assert wire.receive_exactly(1) == b"S"
        wire.send(b"this is not TLS at all" * 10)
        try:
            while wire.socket.recv(4096):
                pass
        except ConnectionError:
            pass
    freshet.psycopg2().close()


@pytest.fixture(scope="module")
def role(freshet):
    connection = freshet.psycopg2()
    connection.cursor().execute("CREATE ROLE someone LOGIN PASSWORD 'pass word'")
    yield "someone"
    connection.cursor().execute("DROP ROLE someone")


@pytest.mark.parametrize("door", ["postgres", "materialize", "native"])
@pytest.mark.parametrize("mode", ["disable", "require"])
@pytest.mark.parametrize("binding", ["disable", "prefer"])
def test_scram(freshet, role, door, mode, binding):
    fields_ = {"user": role, "sslmode": mode, "channel_binding": binding}
    with freshet.psycopg2(door, password="'pass word'", **fields_) as connection:
        assert connection.info.user == role
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        freshet.psycopg2(door, password="wrong", **fields_)
    with pytest.raises(psycopg2.OperationalError, match="no password supplied"):
        freshet.psycopg2(door, **fields_)


def test_scram_by_psycopg3(freshet, role):
    with freshet.psycopg(user=role, password="'pass word'") as connection:
        assert connection.execute("SELECT current_user").fetchone() == (role,)


def test_a_trusted_role_may_send_a_password_nobody_asks_for(freshet):
    with freshet.psycopg2(user="postgres", password="anything") as connection:
        assert encrypted(connection)


def test_a_role_nobody_knows(freshet):
    with pytest.raises(psycopg.OperationalError, match="password"):
        freshet.psycopg(user="nobody_knows", password="x")


def test_the_first_letter_of_nothing(freshet):
    """A client that only connects and leaves costs nothing and breaks nothing."""
    for _ in range(50):
        socket.create_connection(("127.0.0.1", freshet.ports["postgres"])).close()
    half = struct.pack("!I", 80)[:3]
    for _ in range(10):
        with socket.create_connection(("127.0.0.1", freshet.ports["postgres"])) as partial:
            partial.sendall(half)
    freshet.psycopg2().close()
