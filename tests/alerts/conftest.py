"""What tests of alerts share."""

from collections.abc import Iterator

import pytest

from tests.support.receiver import Receiver, receiving


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A server on this machine that keeps what is posted to it."""
    with receiving() as found:
        yield found
