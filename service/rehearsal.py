"""New versions are checked in a process of their own, which gets the processor only when nobody else wants it.

    service --a version's name and folder, a line of JSON--> this process: digests, graphs, golden, examples, costs
            <--costs, or why it must not be served--------

So that no request waits for a load, and so that a graph that crashes its process, hangs, or wants all memory takes nothing
along. The service then opens the same files itself (their digests stand in the manifest, the manifest's digest in the answer).
The process is started when it is first needed and ends when it has been idle. Knows models; knows no HTTP and no registry.
"""

import asyncio
import json
import logging
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from service import files, model, repository
from service.cost import Cost
from service.family import rooms
from service.graph import Provider
from service.manifest import LARGEST_MANIFEST, MANIFEST, sha256
from service.repository import BrokenVersion, Found
from service.settings import Settings

if TYPE_CHECKING:
    from asyncio.subprocess import Process

log = logging.getLogger("modelyard.rehearsal")
IDLE_S = 10.0
"""The process ends when it was not asked for so long."""
HUMBLE_S = 2.0
"""So long it may wait for a processor that somebody else always wants; then it is started anew as anybody's equal."""
EQUAL = """
import runpy
runpy.run_module("service.rehearsal", run_name="__main__", alter_sys=True)
"""
HUMBLE = f"""
import os
try:
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
except (AttributeError, OSError):
    pass
{EQUAL}"""
"""How it starts: with the processor when nobody else wants it, before it imports anything that takes long."""
LONGEST_LINE = 2**20
"""Bytes of an answer."""


class Rehearsal:
    """The process, started when it is needed, one version at a time."""

    def __init__(self, settings: Settings, provider: Provider) -> None:
        self._settings, self._provider = settings, provider
        self._process: Process | None = None
        self._turn = asyncio.Lock()
        self._idle: asyncio.TimerHandle | None = None

    async def __call__(self, found: Found) -> Cost:
        """What batches of a version cost, once it passed every check. Raises BrokenVersion with the reason why it did not."""
        async with self._turn:
            if self._idle:
                self._idle.cancel()
            try:
                answer = await asyncio.wait_for(self._ask_humbly(found), self._settings.rehearsal_s)
            except TimeoutError:
                await self._kill()
                raise BrokenVersion(f"it was not checked within {self._settings.rehearsal_s:g} s") from None
            except BaseException:
                await self._kill()
                raise
            self._idle = asyncio.get_running_loop().call_later(IDLE_S, self._let_go)
        if "broken" in answer:
            raise BrokenVersion(answer["broken"])
        if answer["manifest"] != await asyncio.to_thread(_manifest_digest, found):
            raise BrokenVersion("it changed while it was checked")
        return Cost({(rows, length): seconds for rows, length, seconds in answer["cost"]})

    async def _ask_humbly(self, found: Found) -> dict[str, Any]:
        """Ask; where the process gets no processor, ask one that does. A process cannot be raised without privileges."""
        asking = asyncio.ensure_future(self._ask(found))
        try:
            while not (await asyncio.wait({asking}, timeout=HUMBLE_S))[0]:
                if self._process and _starves(self._process.pid):
                    break
            else:
                return await asking
        finally:
            asking.cancel()
        await self._kill()
        log.info("every processor is busy: checking a new version takes its share", extra={"fields": {"model": found.name}})
        return await self._ask(found, EQUAL)

    async def _ask(self, found: Found, start: str = HUMBLE) -> dict[str, Any]:
        process = self._process or await self._start(start)
        if process.stdin is None or process.stdout is None:
            raise TypeError("the process was started without pipes")
        asked = {"name": found.name, "version": found.version, "folder": str(found.folder)}
        with suppress(ConnectionError):  # told below: it answers nothing
            process.stdin.write(json.dumps(asked).encode() + b"\n")
            await process.stdin.drain()
        line = await process.stdout.readline()
        if not line:
            code = await process.wait()
            self._process = None
            raise BrokenVersion(f"the process that checked it ended with {code}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def _start(self, start: str) -> "Process":
        arguments = [self._settings.model_dump_json(), self._provider]
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", start, *arguments,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=LONGEST_LINE,
        )  # fmt: skip
        return self._process

    def _let_go(self) -> None:
        """It reads no more and ends by itself."""
        if self._process and self._process.stdin and not self._turn.locked():
            self._process.stdin.close()
            self._process = None

    async def _kill(self) -> None:
        process, self._process = self._process, None
        if process:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def close(self) -> None:
        """End the process."""
        if self._idle:
            self._idle.cancel()
        await self._kill()


def _starves(pid: int) -> bool:
    """Whether it waited for a processor most of its time, as one that is humble may."""
    try:
        ran, waited, _ = map(int, Path(f"/proc/{pid}/schedstat").read_text().split())
        return os.sched_getscheduler(pid) == os.SCHED_IDLE and waited > 3 * ran
    except (AttributeError, OSError, ValueError):
        return False


def _manifest_digest(found: Found) -> str:
    try:
        return sha256(files.read(files.inside(found.folder, MANIFEST), LARGEST_MANIFEST))
    except OSError as error:
        raise BrokenVersion(f"its manifest cannot be read: {error.strerror}") from error


def answer(line: str, settings: Settings, provider: Provider) -> dict[str, Any]:
    """One version, checked: its costs and its manifest's digest, or why it is broken."""
    asked = json.loads(line)
    found = Found(asked["name"], asked["version"], Path(asked["folder"]), (0, 0, 0))
    try:
        digest = _manifest_digest(found)
        loaded = model.load(repository.read(found), rooms(), provider, settings)
    except BrokenVersion as error:
        return {"broken": str(error)}
    return {"manifest": digest, "cost": [[*point, seconds] for point, seconds in loaded.cost.points.items()]}


def main(arguments: list[str]) -> int:
    """Answer each line of the standard input until it ends."""
    settings = Settings.model_validate_json(arguments[0])
    provider: Provider = "cuda" if arguments[1] == "cuda" else "cpu"
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")  # where memory runs out, it goes first
    for line in sys.stdin:
        sys.stdout.write(json.dumps(answer(line, settings, provider)) + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
