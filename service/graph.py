"""Opens a graph from its bytes, runs it, says where it runs. With `cuda` below it, all that knows onnxruntime.

Knows nothing of families, batches or HTTP. Opened from memory, so that the bytes whose digest was checked are the bytes that
run, and so that a graph cannot point at other files.
"""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from importlib import metadata
from typing import Any, Literal

import numpy as np
import onnxruntime as ort

from service import cuda, metrics
from service.cuda import Card
from service.golden import Array, Arrays
from service.manifest import ONNX_DATATYPES, GraphSpec, TensorSpec

Provider = Literal["cpu", "cuda"]

_PROVIDERS: dict[Provider, str] = {"cpu": "CPUExecutionProvider", "cuda": cuda.PROVIDER}
_CARD = Card()

log = logging.getLogger("modelyard.graph")


class ProviderMissing(Exception):
    """The execution provider that was asked for is not to be had here; the message says what to do."""


class TookTooLong(Exception):
    """A run was ended because it took longer than it may."""


class _Allowance:
    """What a thread may take for the runs that it makes inside."""

    __slots__ = ("_before", "_seconds", "options", "spent", "until")

    def __init__(self, seconds: float) -> None:
        self._seconds, self.until, self.spent = seconds, _watch.now_s + seconds, False
        self.options: ort.RunOptions | None = None
        """Of the run at work."""

    def __enter__(self) -> None:
        self._before: _Allowance | None = getattr(_thread, "allowance", None)
        _thread.allowance = self
        _watch.add(self)

    def __exit__(self, *_: object) -> None:
        _watch.remove(self)
        _thread.allowance = self._before

    def check(self, cause: Exception | None = None) -> None:
        """Raise TookTooLong where it is spent."""
        if self.spent:
            raise TookTooLong(f"it took longer than {self._seconds:g} s") from cause


class _Watch:
    """Ends runs that took too long, from a thread of its own: it ends those that hold the event loop too.

    Its clock is its own looks, so that it stands still while the process does.
    """

    EVERY_S = 0.1

    def __init__(self) -> None:
        self.now_s = 0.0
        self._watched: set[_Allowance] = set()
        self._started = threading.Lock()

    def add(self, allowance: _Allowance) -> None:
        if self._started.acquire(blocking=False):  # for good
            threading.Thread(target=self._look, daemon=True, name="watch").start()
        self._watched.add(allowance)

    def remove(self, allowance: _Allowance) -> None:
        self._watched.discard(allowance)

    def _look(self) -> None:
        while True:
            time.sleep(self.EVERY_S)
            self.now_s += self.EVERY_S
            for one in self._watched.copy():
                if self.now_s > one.until:
                    one.spent = True
                    if one.options:
                        one.options.terminate = True


_watch = _Watch()
_thread = threading.local()


def within(seconds: float) -> _Allowance:
    """A context: this thread's runs in it take so long together at most, then TookTooLong is raised.

    onnxruntime looks before each node whether it should stop, so a loop ends, and a single node that takes long does not.
    """
    return _Allowance(seconds)


class Graph:
    """An opened ONNX graph. `run` may be called from several threads at once."""

    def __init__(self, data: bytes, provider: Provider, threads: int = 1, card: Card = _CARD) -> None:
        """Open `data`. Raises ValueError where it is no graph that can run, ProviderMissing where `provider` is not here."""
        self._data, self._threads, self._card = data, threads, card
        self._turn = threading.Lock()
        self._lost: list[object] = []  # never let go: to free what lay on a lost card can end the process
        self._next: ort.RunOptions | None = None
        self.dead: str | None = None
        """Why it cannot run any more; None while it can."""
        try:
            self._open(provider)
        except (ProviderMissing, ValueError) as error:
            if provider == "cpu" or not card.falls_back or _works():
                raise
            self._go_on(error)

    def _open(self, provider: Provider) -> None:
        self._session, self.provider = _session(self._data, provider, self._threads, self._card), provider
        self._outputs = [output.name for output in self._session.get_outputs()]
        if provider == "cpu":
            self._data = b""  # to be opened again from
        self._answers: Callable[[Arrays], Arrays] = self._plainly
        if provider == "cuda" and self._card.recorded and cuda.recordable(self._session):
            try:
                recorded = _session(self._data, provider, self._threads, self._card, recorded=True)
            except ValueError:  # a node of it runs on the CPU
                return
            self._session, self._answers = recorded, cuda.Recorded(recorded, self._card.recorded)

    def _plainly(self, arrays: Arrays) -> Arrays:
        options, self._next = self._next or ort.RunOptions(), None
        if allowance := getattr(_thread, "allowance", None):
            allowance.options = options
            allowance.check()
        try:
            with cuda.turns.shared() if self.provider == "cuda" else nullcontext():
                outputs: list[Array] = self._session.run(self._outputs, arrays, options)
        except Exception as error:
            if allowance:
                allowance.check(error)
            raise
        return dict(zip(self._outputs, outputs, strict=True))

    def run(self, arrays: Arrays) -> Arrays:
        """Outputs by name for inputs by name, from the CPU where the card is lost. Raises what onnxruntime raises."""
        answers = self._answers
        try:
            return answers(arrays)
        except Exception as error:
            with self._turn:
                if self._answers is answers and not self._goes_on(error):
                    raise
        return self._answers(arrays)

    def give_back(self) -> None:
        """With the next run, return the memory that larger ones have taken."""
        if self.provider == "cpu":
            self._next = ort.RunOptions()
            self._next.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")

    def _goes_on(self, error: Exception) -> bool:
        """Whether it was the card that failed, and the graph is open on the CPU now."""
        if self.provider == "cpu" or _works():
            return False
        if not self._card.falls_back:
            self.dead = f"The GPU is lost: {_first_line(error)}"
            return False
        self._lost.append((self._session, self._answers))
        self._go_on(error)
        return True

    def _go_on(self, error: Exception) -> None:
        self._open("cpu")
        metrics.GPU_LOST.inc()
        metrics.PROVIDER.labels("cuda").set(0)
        metrics.PROVIDER.labels("cpu").set(1)
        log.error("the GPU is lost: a graph goes on on the CPU", extra={"fields": {"error": _first_line(error)}})

    def spec(self, file: str) -> GraphSpec:
        """Inputs and outputs as the graph itself states them."""
        return GraphSpec(
            file=file,
            inputs=tuple(_spec(node) for node in self._session.get_inputs()),
            outputs=tuple(_spec(node) for node in self._session.get_outputs()),
        )


def _session(data: bytes, provider: Provider, threads: int, card: Card, *, recorded: bool = False) -> ort.InferenceSession:
    """An opened session. Raises ValueError and ProviderMissing."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads  # our own threads run whole batches: more here only fight each other
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what it says of a failure is in the exception, and so in our log
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # a waiting thread must not burn a core
    wanted: list[Any] = [_PROVIDERS["cpu"]]
    if provider == "cuda":
        wanted.insert(0, (_PROVIDERS["cuda"], cuda.options(card.memory_mb, recorded=recorded)))
    try:
        with cuda.turns.shared() if provider == "cuda" else nullcontext():
            session = ort.InferenceSession(data, options, providers=wanted, enable_fallback=0)
    except Exception as error:
        raise ValueError(f"onnxruntime cannot open the graph: {_first_line(error)}") from error
    used = session.get_providers()[0]
    if used != _PROVIDERS[provider]:  # it falls back to the CPU without a word
        raise ProviderMissing(f"onnxruntime opened the graph on {used} instead of {_PROVIDERS[provider]}.")
    return session


def _works() -> bool:
    """Whether CUDA answers now. Asked of the card itself: what onnxruntime says of a failure differs from call to call."""
    try:
        session = _session(_IDENTITY, "cuda", 1, _CARD)
        with cuda.turns.shared():
            session.run(None, {"x": np.ones(1, np.float32)})
    except Exception as error:  # noqa: BLE001 - whatever it says, it does not answer
        log.debug("CUDA does not answer", extra={"fields": {"error": _first_line(error)}})
        return False
    return True


def _spec(node: ort.NodeArg) -> TensorSpec:
    shape = [size if isinstance(size, int) else str(size) for size in node.shape]
    return TensorSpec(name=node.name, datatype=ONNX_DATATYPES[node.type], shape=tuple(shape))


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:200]


def choose_provider(wanted: Literal["auto", "cpu", "cuda"]) -> tuple[Provider, str]:
    """The provider to use and one line that says why. Raises ProviderMissing where `cuda` is wanted and cannot run.

    onnxruntime lists the providers it was compiled with, not those that work here, so `cuda` is tried on a small graph.
    """
    _one_package()
    if wanted == "cpu":
        return "cpu", "provider: cpu (asked for)"
    if _PROVIDERS["cuda"] not in ort.get_available_providers():
        reason = "this onnxruntime has no CUDA; install the extra `gpu` instead of `cpu`"
    else:
        ort.preload_dlls()  # finds the CUDA libraries that pip installed; prints and returns where there are none
        try:
            Graph(_IDENTITY, "cuda")
        except (ProviderMissing, ValueError) as error:
            reason = f"CUDA does not start here: {error}"
        else:
            return "cuda", f"provider: cuda ({'asked for' if wanted == 'cuda' else 'found'})"
    if wanted == "cuda":
        raise ProviderMissing(f"MODELYARD_PROVIDER is 'cuda', but {reason}.")
    return "cpu", f"provider: cpu ({reason})"


def _one_package() -> None:
    found = [name for name in ("onnxruntime", "onnxruntime-gpu") if _installed(name)]
    if len(found) > 1:
        raise ProviderMissing(
            "onnxruntime and onnxruntime-gpu are both installed and overwrite each other's files; "
            "run `pip uninstall -y onnxruntime onnxruntime-gpu`, then install one of the extras `cpu` and `gpu`."
        )


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def runtime() -> str:
    """The runtime's name and version, for provenance and health."""
    return f"onnxruntime {ort.__version__}"


# y = Identity(x), float32 [1]: the smallest graph there is, to try a provider on
_IDENTITY = bytes.fromhex(
    "08083a370a100a017812017922084964656e746974791201675a0f0a0178120a0a08080112040a020801620f0a0179120a0a08080112040a02080142040a001011"
)
