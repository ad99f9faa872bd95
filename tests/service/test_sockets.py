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


class Transport:
    """asyncio's, as far as it is asked here."""

    def __init__(self, wire):
        self._wire = wire

    def get_extra_info(self, name):
        return self._wire if name == "socket" else None

    def abort(self):
        self._wire.close()


def test_doubles_take_what_waits_on_every_port_and_then_the_last(listener):
    with socket.create_server(("127.0.0.1", 0)) as other:
        ports = sockets.Listeners((listener, other))
        clients = [socket.create_connection(port.getsockname()) for port in (listener, other, other)]
        taken = ports.waiting(1)
        assert len(taken) == 2
        taken += ports.waiting()
        assert (len(taken), ports.waiting()) == (3, [])
        clients.append(socket.create_connection(other.getsockname()))
        taken += ports.emptied()
        assert (len(taken), ports.waiting()) == (4, [])
        for wire in (*clients, *taken):
            wire.close()


def test_a_connection_is_reset_whatever_is_unread(listener):
    with socket.create_connection(listener.getsockname()) as client:
        server, _ = listener.accept()
        server.sendall(b"unread")
        sockets.reset(Transport(server))
        told = select.poll()
        told.register(client, 0)
        assert told.poll(2000)[0][1] & select.POLLERR
