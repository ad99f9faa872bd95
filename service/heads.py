"""Heads of requests that came before: a client sends the same bytes again and again, and what these mean is read once.

Knows bytes and what the server made of them; knows no HTTP and no route.
"""

from service.exchange import Requested

END = b"\r\n\r\n"
LONGEST = 2048
"""Bytes of a head that are worth remembering."""
MOST = 256
"""Heads that are remembered; a new one beyond these begins anew."""
OWN = (b"x-request-id", b"transfer-encoding")
"""Headers that make a head one of its own, or its body's end another's business."""


class Heads:
    """Those of one process. The body must come with its head: then a request is whole, and nothing is left to parse."""

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[Requested, int]] = {}

    def read(self, data: bytes) -> tuple[Requested, bytes] | None:
        """What the head means, and its body, where `data` is one known head and all of its body."""
        end = data.find(END, 0, LONGEST) + len(END)
        found = self._known.get(data[:end])
        return (found[0], data[end:]) if found and len(data) == found[1] else None

    def learn(self, data: bytes, requested: Requested) -> None:
        """`data` began with the head of this request; it is remembered where it was that request and nothing else."""
        end = data.find(END, 0, LONGEST) + len(END)
        if end < len(END) or end + requested.size != len(data) or any(name in requested.headers for name in OWN):
            return
        if len(self._known) >= MOST:
            self._known.clear()
        self._known[data[:end]] = (requested, len(data))
