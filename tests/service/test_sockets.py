"""Sockets at their end, on the loopback."""

import select
import socket
import sys

import pytest

from service import sockets


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as found:
        yield found


def test_connections_that_wait_are_taken_and_later_ones_refused(listener):
    address = listener.getsockname()
    waiting = [socket.create_connection(address) for _ in range(5)]
    accepted = sockets.emptied(listener)
    assert len(accepted) == 5
    accepted[0].sendall(b"here")
    assert waiting[0].recv(10) == b"here"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)
    for wire in (*waiting, *accepted):
        wire.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has such filters")
def test_a_deafened_port_begins_no_connection_and_answers_those_that_were_begun(listener):
    early = socket.create_connection(listener.getsockname())
    sockets.deafen(listener)
    with pytest.raises(TimeoutError):
        socket.create_connection(listener.getsockname(), timeout=0.3)
    accepted, _ = listener.accept()
    early.sendall(b"asked")
    assert accepted.recv(10) == b"asked"
    accepted.close()
    early.close()


def test_a_forgotten_connection_is_reset_whatever_is_unread(listener):
    with socket.create_connection(listener.getsockname()) as client:
        server, _ = listener.accept()
        server.sendall(b"unread")
        sockets.forget(server)
        server.close()
        told = select.poll()
        told.register(client, 0)
        assert told.poll(2000)[0][1] & select.POLLERR
