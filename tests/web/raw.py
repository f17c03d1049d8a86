"""A client of HTTP/1.1 that sends what it is told to, byte by byte, and reads answers."""

import json
import socket
import ssl
from typing import NamedTuple


class Answer(NamedTuple):
    status: int
    fields: dict[str, str]
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


def request(method: str, target: str, body: bytes | str = b"", **fields: str) -> bytes:
    """A request; content_length="…" and the like win over what is right."""
    body = body.encode() if isinstance(body, str) else body
    given = {"host": "localhost"} | ({"content-length": str(len(body))} if body else {})
    given |= {name.replace("_", "-"): value for name, value in fields.items()}
    lines = [f"{method} {target} HTTP/1.1"] + [f"{name}: {value}" for name, value in given.items() if value is not None]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Raw:
    """A connection."""

    def __init__(self, port: int, tls: ssl.SSLContext | None = None, timeout: float = 20):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
        self.file = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()

    def send(self, *pieces: bytes) -> None:
        self.socket.sendall(b"".join(pieces))

    def answer(self, head: bool = False) -> Answer:
        """The next answer, 100 Continue too; `head`: it is one to HEAD."""
        status_line = self.file.readline()
        if not status_line:
            raise EOFError
        version, status = status_line.split()[:2]
        assert version == b"HTTP/1.1"
        fields = {}
        while (line := self.file.readline()) != b"\r\n":
            assert line.endswith(b"\r\n"), line
            name, value = line[:-2].decode().split(": ", 1)
            fields[name.lower()] = value
        if head or int(status) in (100, 204):
            body = b""
        elif fields.get("transfer-encoding") == "chunked":
            body = b"".join(self.chunks())
        elif "content-length" in fields:
            body = self.file.read(int(fields["content-length"]))
        else:
            body = self.file.read()
        return Answer(int(status), fields, body)

    def chunks(self):
        while True:
            size = self.file.readline()
            if not size.endswith(b"\r\n"):
                raise EOFError
            data = self.file.read(int(size, 16) + 2)
            if len(data) != int(size, 16) + 2:
                raise EOFError
            if size == b"0\r\n":
                return
            yield data[:-2]

    def ask(self, *arguments, **fields) -> Answer:
        self.send(request(*arguments, **fields))
        return self.answer(head=arguments[0] == "HEAD")

    def at_end(self) -> bool:
        try:
            return self.file.read(1) == b""
        except ConnectionError:
            return True
