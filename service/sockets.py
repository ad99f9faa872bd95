"""Sockets at their beginning, and what uvicorn and asyncio leave undone at their end. Knows the system's calls only."""

import ctypes
import math
import socket
import struct
from asyncio import Transport
from collections.abc import Iterable
from contextlib import suppress

SO_ATTACH_FILTER = 26
"""Linux's; Python has no name for it."""
NO_SYN = ((0x30, 0, 0, 13), (0x54, 0, 0, 0x12), (0x15, 0, 1, 0x02), (0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFFFFFF))
"""As a filter (code, jump if true, if false, k): of TCP's flags take SYN and ACK; drop what has only SYN, take all else."""


def listen(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """A bound socket; `shared` ones may stand beside others of ours on the same port. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener


def deafen(listener: socket.socket) -> None:
    """No connection is begun any more, but those that were come to be: else some always come between the last one and the end.

    Where the system cannot do it, they are begun as before.
    """
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in NO_SYN))
    with suppress(OSError):
        listener.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", len(NO_SYN), ctypes.addressof(program)))


def waiting(listener: socket.socket, most: float = math.inf) -> list[socket.socket]:
    """The connections that wait to be accepted, `most` of them, now accepted. `listener` blocks no more."""
    accepted: list[socket.socket] = []
    listener.setblocking(False)
    with suppress(OSError):  # no more are there, or no file is left for one
        while len(accepted) < most:
            accepted.append(listener.accept()[0])
    return accepted


def emptied(listener: socket.socket) -> list[socket.socket]:
    """The same; `listener` is closed right behind the last one, as all later ones are reset."""
    with listener:
        return waiting(listener)


class Listeners:
    """Doubles of the sockets that a server listens on, for what the server itself does not do with them."""

    def __init__(self, sockets: Iterable[socket.socket]) -> None:
        self._sockets = [one.dup() for one in sockets]

    def waiting(self, most: float = math.inf) -> list[socket.socket]:
        """The connections that wait, `most` on each port, now accepted."""
        return [connection for listener in self._sockets for connection in waiting(listener, most)]

    def deafen(self) -> None:
        """No connection is begun any more."""
        for listener in self._sockets:
            deafen(listener)

    def emptied(self) -> list[socket.socket]:
        """The last connections that wait; these listeners are closed."""
        left, self._sockets = self._sockets, []
        return [connection for listener in left for connection in emptied(listener)]


def reset(transport: Transport) -> None:
    """Reset a connection: after a mere close the system would keep for minutes what nobody reads."""
    if wire := transport.get_extra_info("socket"):
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
