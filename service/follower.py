"""Makes what is served follow the repository and its policies. Knows versions, policies and models; no HTTP and no family.

One task looks at the repository, loads what is new in a thread, swaps it in between two turns of the event loop and drains
what it replaces. A version that cannot be served is refused with a reason and tried again later or when it changes; the
versions served before stay.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from functools import partial

from service import files, memory, metrics, model, policy, repository
from service.agreement import POLL_S, Agreement, Board
from service.cost import Cost
from service.graph import Provider
from service.manifest import sha256
from service.mirror import MirrorError
from service.model import Model
from service.policy import Policy
from service.registry import Entry, Refused, Registry
from service.rehearsal import Rehearsal
from service.repository import BrokenVersion, Found
from service.settings import Settings
from service.store import Store
from service.trial import Trial

SPARE = 10
"""To look through a repository of many thousand folders takes no more than a tenth of a processor."""

log = logging.getLogger("modelyard.follower")


class Follower:
    """Writes one registry."""

    def __init__(
        self,
        registry: Registry,
        settings: Settings,
        provider: Provider,
        board: Board | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`board`: where others of its kind leave word, with whom it switches versions."""
        self._registry, self._settings, self._provider, self._clock = registry, settings, provider, clock
        self._rehearse = Rehearsal(settings, provider)
        self._agreement = Agreement(board)
        self._agreeing: dict[str, tuple[str, asyncio.Task[None]]] = {}
        self._said: dict[str, str] = {}
        """The decision that other workers last heard of from this one, by model."""
        self._told: dict[str, int | None] = {}
        """The version that logs and metrics last had for the one that answers."""
        self._stamps: dict[str, tuple[int, ...] | None] = {}
        self._digests: dict[str, tuple[Policy, Model, str]] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._looking = asyncio.Lock()
        self._store = Store(settings, clock)
        self._trouble = ""

    async def follow(self) -> None:
        """Look at the repository, again and again, until cancelled."""
        while True:
            try:
                await self.look()
            except Exception:  # the edge of the task: logged, and the next look may succeed
                log.exception("a look at the repository failed")
            await asyncio.sleep(max(self._settings.reload_s, SPARE * self._store.look_s))

    async def look(self) -> None:
        """One look: read changed policies, load what is new, drop what is gone."""
        async with self._looking:
            try:
                found, unread = await asyncio.to_thread(self._store.look)
            except OSError as error:
                self._say(f"the repository cannot be read ({error.strerror}); what is served stays")
                self._registry.has_looked()
                return
            if self._trouble:
                log.info("the repository can be read again")
            self._say("")
            on_disk: dict[str, dict[int, Found]] = {}
            for one in found:
                on_disk.setdefault(one.name, {})[one.version] = one
            for name in unread & {*self._registry.entries}:  # what is served of it stays
                on_disk[name] = self._registry.entries[name].found
            first = not self._registry.looked
            at_once = asyncio.Semaphore(self._settings.slots if first else 1)

            async def settle(name: str) -> None:
                async with at_once:
                    await self._settle(name, on_disk.get(name, {}))

            async with asyncio.TaskGroup() as group:  # where one fails, none goes on beside the next look
                for name in sorted({*on_disk, *self._registry.entries}):
                    group.create_task(settle(name))
            self._registry.has_looked()
            if first:  # to check a version takes several times what to serve it does
                await asyncio.to_thread(memory.trim)

    def _say(self, trouble: str) -> None:
        """Log a repository that cannot be read once, not at every look."""
        if trouble and trouble != self._trouble:
            log.error(trouble)
        self._trouble = trouble

    async def change(self, name: str, **fields: object) -> Policy:
        """Write a policy with other values of these fields and follow it now. Raises Unavailable where it cannot be written."""
        await asyncio.to_thread(self._store.change, name, **fields)
        if entry := self._registry.entries.get(name):
            entry.refused.clear()  # whoever asks again wants it tried again
        await self.look()
        return self._registry.entries[name].policy if name in self._registry.entries else Policy()

    async def _settle(self, name: str, found: dict[int, Found]) -> None:
        """Serve the versions of one model that are wanted and good; drop the others."""
        entry = self._registry.entries.setdefault(name, Entry())
        entry.found = found
        entry.refused = {version: one for version, one in entry.refused.items() if version in found}
        await self._read_policy(name, entry)
        keep = await self._load_wanted(entry)
        refused_all = found and not keep and not entry.policy.unloaded
        if entry.answering and (name in self._agreeing or refused_all):
            keep.add(entry.answering)  # others still answer with it, or nothing on disk can take its place
        for version in set(entry.served) - keep:
            self._drop(name, entry, version)
        self._choose(name, entry, whole=True)
        self._try(entry)
        if entry.answering:
            metrics.DRIFT.labels(name).set(entry.served[entry.answering][1].drift.largest() or 0.0)
        if not found and not entry.served:
            del self._registry.entries[name]
            self._stamps.pop(name, None)
            self._told.pop(name, None)
            self._digests.pop(name, None)

    async def _read_policy(self, name: str, entry: Entry) -> None:
        folder = self._store.folder(name)
        stamp = await asyncio.to_thread(files.stamp, folder / policy.FILE)
        if name in self._stamps and stamp == self._stamps[name]:
            return
        self._stamps[name] = stamp
        try:
            entry.policy, entry.trouble = await asyncio.to_thread(policy.read, folder, self._store.unwritten(name)), ""
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            log.error("a policy cannot be followed: %s", reason, extra={"fields": {"model": name}})  # noqa: TRY400 - the reason is the whole story
            entry.trouble = "" if entry.served else f"its policy cannot be read: {reason}"

    async def _load_wanted(self, entry: Entry) -> set[int]:
        """The versions to keep; those among them that are new are loaded."""
        wanted, keep = entry.policy, set[int]()
        if wanted.unloaded or entry.trouble:
            return keep
        newest = 0 if wanted.named else wanted.newest or self._settings.versions
        for version in sorted(entry.found, reverse=True):
            if (version in wanted.always() or newest > 0) and await self._serve(entry, entry.found[version]):
                keep.add(version)
                newest -= version not in wanted.always()
        return keep

    async def _serve(self, entry: Entry, found: Found) -> bool:
        """Whether a version is served now, loading it where it is new or changed."""
        served, refused = entry.served.get(found.version), entry.refused.get(found.version)
        if served and served[0] == found:
            return True
        if refused and refused.found == found and self._clock() - refused.when < self._settings.retry_s:
            return served is not None
        fields = {"model": found.name, "version": found.version}
        entry.loading.add(found.version)
        try:
            # at the start nobody is served yet, and this process is the fastest
            apart = self._settings.rehearse and self._registry.looked
            known = await self._rehearse(found) if apart else None
            loaded = await asyncio.to_thread(self._load, found, known)
            await loaded.start(self._settings)
        except BrokenVersion as error:
            if not refused or refused.reason != str(error):
                log.error("version refused: %s", error, extra={"fields": fields})  # noqa: TRY400 - the reason is the whole story
            entry.refused[found.version] = Refused(found, str(error), self._clock())
            metrics.LOADS.labels(found.name, "refused").inc()
            return served is not None
        finally:
            entry.loading.discard(found.version)
        entry.refused.pop(found.version, None)
        entry.served[found.version] = (found, loaded)
        if served:
            self._close(served[1])
        metrics.LOADS.labels(found.name, "served").inc()
        log.info("version served", extra={"fields": fields})
        self._choose(found.name, entry)
        return True

    def _load(self, found: Found, known: Cost | None) -> Model:
        return model.load(repository.read(found), self._registry.rooms, self._provider, self._settings, known)

    def _choose(self, name: str, entry: Entry, *, whole: bool = False) -> None:
        """Which version answers from now on, or from when all workers can; `whole`: all that is wanted is loaded."""
        chosen, now = entry.policy.answering(frozenset(entry.served)), entry.answering
        if not (self._agreement.needed and chosen):
            self._give_up(name, entry)
            self._follow(name, entry, chosen)
            return
        if now not in entry.served and chosen not in (told := self._agreement.told(name)):
            begun_with = max(told & set(entry.served), default=None)
            if begun_with is None and not whole and told & set(entry.found):
                return  # what others answer with is still to be loaded
            if begun_with:
                self._follow(name, entry, begun_with)
                now = begun_with
        decision = f"{chosen}-{self._digest(name, entry.policy, entry.served[chosen][1])}"
        if chosen != now and now in entry.served:
            pending = self._agreeing.get(name)
            if pending and pending[0] == decision:
                return
            self._give_up(name, entry)
            if entry.answering == chosen:
                return
            self._agreeing[name] = (decision, asyncio.create_task(self._agree(name, entry, chosen, decision)))
            return
        self._give_up(name, entry)
        self._follow(name, entry, chosen)
        if self._said.get(name) != decision:  # others, which were there before this process, may wait for it
            self._said[name] = decision
            self._agreement.bind(name, decision)
            self._agreement.ready(name, decision)

    def _digest(self, name: str, wanted: Policy, loaded: Model) -> str:
        """The same wherever the same policy and version were read."""
        known = self._digests.get(name)
        if known is None or known[:2] != (wanted, loaded):
            digest = sha256(wanted.model_dump_json().encode() + loaded.manifest.dump())[:16]
            self._digests[name] = known = (wanted, loaded, digest)
        return known[2]

    async def _agree(self, name: str, entry: Entry, chosen: int, decision: str) -> None:
        """Wait until all workers can answer with a version, then answer with it as soon as all of them do."""
        self._said[name] = decision
        await asyncio.to_thread(self._agreement.ready, name, decision)
        bound = False
        while entry.answering != chosen:
            workers = await asyncio.to_thread(self._agreement.workers, name, decision)
            if workers and entry.answering != chosen:
                entry.switch = (chosen, partial(self._agreement.settled, name, decision, workers))
                if not bound:
                    self._agreement.bind(name, decision)
                    bound = True
            await asyncio.sleep(POLL_S)
        self._agreeing.pop(name, None)
        self._follow(name, entry, chosen)

    def _give_up(self, name: str, entry: Entry) -> None:
        """Another version is wanted by now; where the switch to this one was settled, it is made all the same."""
        if pending := self._agreeing.pop(name, None):
            pending[1].cancel()
            if entry.switch and self._agreement.free(name, pending[0]) and entry.switch[0] in entry.served:
                entry.held = entry.switch[0]
            entry.switch = None

    def _follow(self, name: str, entry: Entry, chosen: int | None) -> None:
        entry.held = chosen
        if self._told.get(name) != chosen:
            self._told[name] = chosen
            self._agreement.tell(name, chosen)
            log.info("version answers", extra={"fields": {"model": name, "version": chosen}})
            metrics.VERSION.labels(name).set(chosen or 0)

    def _try(self, entry: Entry) -> None:
        """Begin, keep or end the trial that the policy wants."""
        plan, running = entry.policy.trial, entry.trial
        main = entry.served.get(entry.answering) if entry.answering else None
        tried = entry.served.get(plan.version) if plan else None
        if running and main and tried and (running.plan, running.answering, running.candidate) == (plan, main[1], tried[1]):
            return
        if running:
            running.close()
            entry.trial = None
        if plan and main and tried and main[1].room is tried[1].room:
            entry.trial = Trial(plan, main[1], tried[1], self._end)
            log.info("a trial begins", extra={"fields": {"model": main[1].name, **plan.model_dump(exclude={"budget"})}})

    def _end(self, trial: Trial, reason: str) -> None:
        """A budget is spent: no request more for the candidate, and the policy says so."""
        name, plan = trial.candidate.name, trial.plan
        said = f"the {plan.kind} of version {plan.version} ended: {reason}"
        log.error(said, extra={"fields": {"model": name, "version": plan.version}})
        metrics.TRIALS_ENDED.labels(name, plan.kind).inc()
        trial.close()
        if (entry := self._registry.entries.get(name)) and entry.trial is trial:
            entry.trial, entry.policy = None, entry.policy.changed(trial=None, ended=said)
        task = asyncio.create_task(self._write_end(name, plan, said))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _write_end(self, name: str, plan: policy.Plan, said: str) -> None:
        try:
            await asyncio.to_thread(self._store.end, name, plan, said)
        except (OSError, ValueError, MirrorError) as error:
            log.warning("the end of a trial holds until a restart only: %s", error, extra={"fields": {"model": name}})

    def _drop(self, name: str, entry: Entry, version: int) -> None:
        _, dropped = entry.served.pop(version)
        self._close(dropped)
        log.info("version no longer served", extra={"fields": {"model": name, "version": version}})

    def _close(self, old: Model) -> None:
        task = asyncio.create_task(old.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Drain every version."""
        await self._rehearse.close()
        for name in list(self._agreeing):
            self._give_up(name, self._registry.entries[name])
        self._registry.draining = True
        for name, entry in list(self._registry.entries.items()):
            if entry.trial:
                entry.trial.close()
                entry.trial = None
            entry.held, entry.switch = None, None
            for version in list(entry.served):
                self._drop(name, entry, version)
        await asyncio.gather(*self._closing)
