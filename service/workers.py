"""Several processes on one port: starts them, replaces the dead, stops them together. Knows processes and sockets only.

Each worker has a socket of its own on the shared port (SO_REUSEPORT), so that the kernel spreads connections over them; the
parent keeps the port bound without listening. uvicorn's supervisor shares one listening socket instead, and there one worker
can end up with all the connections.
"""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing import connection, get_context
from multiprocessing.context import SpawnProcess
from tempfile import TemporaryDirectory

from fastapi import FastAPI

from service import logs, server, sockets
from service.settings import Settings, share_metrics

log = logging.getLogger("modelyard.workers")
STARTUP_FAILURE = 3
"""uvicorn's exit code for an app that cannot start: starting it again would fail again."""
FIRST_BACKOFF_S, LAST_BACKOFF_S = 0.1, 10.0
WELL_S = 5.0
"""A worker that lived so long was well: it is no sign that the next one will die at once."""

_spawn = get_context("spawn")


def serve(build: Callable[[Settings], FastAPI], settings: Settings) -> int:
    """Listen until told to stop; the exit code. Raises OSError where the port is taken."""
    logs.configure(settings)
    # also where workers share the port: it finds out whether somebody else has it
    listener = sockets.listen(settings.host, settings.port)
    host, port = listener.getsockname()[:2]
    log.info("listening on http://%s:%d", f"[{host}]" if ":" in host else host, port)
    if settings.keys is None and not settings.is_loopback:
        log.warning("there are no API keys: everybody who can reach this address may ask, load and unload models")
    if settings.workers == 1:
        server.run(build, settings, listener)
        return 0
    listener.close()
    settings = settings.model_copy(update={"port": port})
    with sockets.listen(settings.host, settings.port, shared=True), TemporaryDirectory(prefix="modelyard-metrics-") as folder:
        share_metrics(folder)
        return _Supervisor(build, settings).run()


class Backoff:
    """How long to wait before a dead worker is replaced: twice as long after each one that died soon, and no longer."""

    def __init__(self) -> None:
        self._next_s = FIRST_BACKOFF_S

    def after(self, lived_s: float) -> float:
        """The seconds to wait."""
        wait_s = FIRST_BACKOFF_S if lived_s >= WELL_S else self._next_s
        self._next_s = min(wait_s * 2, LAST_BACKOFF_S)
        return wait_s


class _Supervisor:
    """Keeps `settings.workers` processes alive until a signal."""

    def __init__(self, build: Callable[[Settings], FastAPI], settings: Settings) -> None:
        self._build, self._settings = build, settings
        self._workers: list[SpawnProcess] = []
        self._begun: dict[int | None, float] = {}
        """When each worker was started, by its process number."""
        self._signals = 0
        self._backoff = Backoff()
        # closes with this process, however it ends; the workers watch it
        self._held, self._watched = _spawn.Pipe(duplex=False)

    def run(self) -> int:
        """Until a signal or a worker that cannot start; the exit code."""
        for sig in (signal.SIGINT, signal.SIGTERM):
            signal.signal(sig, lambda *_: self._tell_stop())
        self._workers = [self._start() for _ in range(self._settings.workers)]
        code = 0
        while not self._signals:
            ended = connection.wait([worker.sentinel for worker in self._workers], timeout=0.5)
            if ended and not self._signals and not self._replace():
                code = STARTUP_FAILURE
                break
        self._stop()
        return code

    def _start(self) -> SpawnProcess:
        worker = _spawn.Process(target=_work, args=(self._build, self._settings, self._held), daemon=False)
        worker.start()
        self._begun[worker.pid] = time.monotonic()
        return worker

    def _replace(self) -> bool:
        """Start another process for each dead one; False where that would be in vain."""
        for index, worker in enumerate(self._workers):
            if worker.is_alive():
                continue
            if worker.exitcode == STARTUP_FAILURE:
                log.error("a worker cannot start; stopping")
                return False
            log.error("a worker died and is replaced", extra={"fields": {"pid": worker.pid, "exitcode": worker.exitcode}})
            self._wait(self._backoff.after(time.monotonic() - self._begun.pop(worker.pid)))
            if self._signals:
                break
            self._workers[index] = self._start()
        return True

    def _wait(self, seconds: float) -> None:
        """Sleep, no longer than until a signal."""
        until = time.monotonic() + seconds
        while not self._signals and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, 0.05))

    def _tell_stop(self) -> None:
        """From the signal handler: once drains, twice kills."""
        self._signals += 1
        for worker in self._workers:
            if worker.pid and worker.is_alive():
                os.kill(worker.pid, signal.SIGTERM if self._signals == 1 else signal.SIGKILL)

    def _stop(self) -> None:
        if not self._signals:
            self._tell_stop()
        grace_s = self._settings.drain_delay_s + self._settings.drain_s + 2
        until = time.monotonic() + grace_s
        for worker in self._workers:
            worker.join(max(0.0, until - time.monotonic()))
            if worker.is_alive():
                worker.kill()
                worker.join()


def _work(build: Callable[[Settings], FastAPI], settings: Settings, parent: "connection.Connection[None, None]") -> None:
    """In the worker: serve, and stop when the parent is gone."""
    logs.configure(settings)
    threading.Thread(target=_stop_with, args=(parent,), daemon=True).start()
    server.run(build, settings, sockets.listen(settings.host, settings.port, shared=True))


def _stop_with(parent: "connection.Connection[None, None]") -> None:
    try:
        parent.recv()
    except EOFError:
        os.kill(os.getpid(), signal.SIGTERM)
