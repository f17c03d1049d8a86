"""The databases that the guides' tests begin with."""

from contextlib import closing

import pytest

from .application import Application


@pytest.fixture
def myapp(freshet):
    """The chapter's, empty."""
    with closing(Application(freshet)) as application:
        yield application


@pytest.fixture
def shop(freshet):
    """A page's that makes its database itself."""
    with closing(Application(freshet, "shop", "")) as application:
        yield application
