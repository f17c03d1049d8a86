import pytest
from harness.server import Freshet
from harness import system


@pytest.fixture(scope="session")
def server():
    """A server with the doors that speak HTTP."""
    server = Freshet(ports={"cratedb": system.free_port(), "databend": system.free_port()}).start()
    yield server
    server.stop()
    server.remove()


@pytest.fixture(scope="session")
def port(server) -> int:
    return server.ports["cratedb"]
