"""How long a service takes to say that it lives, ten times a second, asked from a process of its own.

    with Pulse(url) as pulse: …
    pulse.seconds

A thread beside a drill would wait for the drill's own Python. Run as a program it is that process: it asks until its standard
input is closed, then prints a JSON list of seconds; a failed request counts as PATIENCE_S.
"""

import http.client
import json
import subprocess
import sys
import threading
import time
from urllib.parse import urlsplit

from tests.conftest import ROOT

EVERY_S = 0.1
PATIENCE_S = 10.0


class Pulse:
    """Asks while its block runs."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.seconds: list[float] = []

    def __enter__(self) -> "Pulse":
        command = [sys.executable, "-m", "tests.drills.pulse", self._url]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_: object) -> None:
        try:
            out, _ = self._process.communicate(timeout=2 * PATIENCE_S)
            self.seconds = json.loads(out)
        finally:
            self._process.kill()
            self._process.wait()

    def quantile(self, share: float) -> float:
        """Of the seconds; PATIENCE_S where nothing was asked."""
        ordered = sorted(self.seconds) or [PATIENCE_S]
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def ask(url: str, stop: threading.Event) -> list[float]:
    """Seconds until it answered, each on a new connection, as probes do."""
    address, found = urlsplit(url), []
    due = time.monotonic()
    while not stop.is_set():
        begun = time.monotonic()
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=PATIENCE_S)
        try:
            connection.request("GET", "/v2/health/live")
            ok = connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            ok = False
        finally:
            connection.close()
        found.append(time.monotonic() - begun if ok else PATIENCE_S)
        due = max(due + EVERY_S, time.monotonic())
        stop.wait(due - time.monotonic())
    return found


def main(url: str) -> None:
    stop, found = threading.Event(), []
    asking = threading.Thread(target=lambda: found.extend(ask(url, stop)))
    asking.start()
    sys.stdin.read()
    stop.set()
    asking.join()
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
