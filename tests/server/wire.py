"""A client that speaks the protocol byte by byte, for what no driver would send."""

import socket
import ssl
import struct

SSL_REQUEST = struct.pack("!II", 8, 80877103)
GSS_REQUEST = struct.pack("!II", 8, 80877104)


def startup(version: int = 196608, **parameters: str) -> bytes:
    body = struct.pack("!I", version)
    for name, value in parameters.items():
        body += name.encode() + b"\0" + value.encode() + b"\0"
    return struct.pack("!I", len(body) + 5) + body + b"\0"


def cancel(pid: int, key: int) -> bytes:
    return struct.pack("!IIII", 16, 80877102, pid, key)


def message(kind: str, body: bytes = b"") -> bytes:
    return kind.encode() + struct.pack("!I", len(body) + 4) + body


def query(sql: str) -> bytes:
    return message("Q", sql.encode() + b"\0")


def parse(sql: str, name: str = "", types: tuple[int, ...] = ()) -> bytes:
    return message("P", name.encode() + b"\0" + sql.encode() + b"\0" + struct.pack(f"!H{len(types)}I", len(types), *types))


def bind(portal: str = "", statement: str = "") -> bytes:
    return message("B", portal.encode() + b"\0" + statement.encode() + b"\0" + b"\0" * 6)


def execute(portal: str = "", rows: int = 0) -> bytes:
    return message("E", portal.encode() + b"\0" + struct.pack("!I", rows))


SYNC = message("S")
FLUSH = message("H")


class Wire:
    """A connection; `messages` are pairs of type and body."""

    def __init__(self, port: int, timeout: float = 20):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, *parts: bytes) -> None:
        self.socket.sendall(b"".join(parts))

    def start_tls(self) -> None:
        self.send(SSL_REQUEST)
        assert self.socket.recv(1) == b"S"
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self.socket = context.wrap_socket(self.socket)

    def receive_exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            part = self.socket.recv(count - len(data))
            if not part:
                raise EOFError(f"closed after {len(data)} of {count} bytes")
            data += part
        return data

    def receive(self) -> tuple[str, bytes]:
        kind, length = struct.unpack("!cI", self.receive_exactly(5))
        return kind.decode(), self.receive_exactly(length - 4)

    def until(self, *kinds: str) -> list[tuple[str, bytes]]:
        """Everything up to the first message of one of these types."""
        received = [self.receive()]
        while received[-1][0] not in kinds:
            received.append(self.receive())
        return received

    def at_end(self) -> bool:
        """Does the server close without another byte?"""
        try:
            return self.socket.recv(1) == b""
        except ConnectionError:
            return True

    def log_in(self, user: str = "postgres", database: str = "materialize", **more) -> dict:
        """Start up without a password; the backend's key."""
        self.send(startup(user=user, database=database, **more))
        for kind, body in self.until("Z", "E"):
            assert kind != "E", fields(body)
            if kind == "K":
                self.pid, self.key = struct.unpack("!II", body)
        return {"pid": self.pid, "key": self.key}


def fields(body: bytes) -> dict[str, str]:
    """The fields of an ErrorResponse."""
    return {part[:1].decode(): part[1:].decode() for part in body.split(b"\0") if part}
