"""Whole bodies within limits, a patient wait."""

import asyncio

import pytest
from starlette.requests import ClientDisconnect

from service import http
from service.errors import DeadlineExceeded

pytestmark = pytest.mark.anyio


class Leaving:
    """A request whose client leaves, or stays, while it waits."""

    def __init__(self, *, leaves: bool) -> None:
        self.leaves = leaves

    async def receive(self) -> dict:
        if self.leaves:
            return {"type": "http.disconnect"}
        await asyncio.sleep(60)
        raise AssertionError


async def test_a_client_that_leaves_takes_its_request_along():
    future = asyncio.get_running_loop().create_future()
    with pytest.raises(ClientDisconnect):
        await http.patiently(future, Leaving(leaves=True), 5)
    assert future.cancelled()


async def test_a_request_past_its_deadline_is_given_up():
    future = asyncio.get_running_loop().create_future()
    with pytest.raises(DeadlineExceeded):
        await http.patiently(future, Leaving(leaves=False), 0.06)
    assert future.cancelled()
