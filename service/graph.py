"""The only file that knows onnxruntime: opens a graph from its bytes, runs it, says where it runs.

Knows nothing of families, batches or HTTP. Opened from memory, so that the bytes whose digest was checked are the bytes that
run, and so that a graph cannot point at other files.
"""

from importlib import metadata
from typing import Literal

import onnxruntime as ort

from service.golden import Array, Arrays
from service.manifest import ONNX_DATATYPES, GraphSpec, TensorSpec

Provider = Literal["cpu", "cuda"]

_PROVIDERS: dict[Provider, str] = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class ProviderMissing(Exception):
    """The execution provider that was asked for is not to be had here; the message says what to do."""


class Graph:
    """An opened ONNX graph. `run` may be called from several threads at once."""

    def __init__(self, data: bytes, provider: Provider, threads: int = 1) -> None:
        """Open `data`. Raises ValueError where it is no graph that can run, ProviderMissing where `provider` is not here."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads  # our own threads run whole batches: more here only fight each other
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # a waiting thread must not burn a core
        try:
            self._session = ort.InferenceSession(data, options, providers=_wanted(provider))
        except Exception as error:
            raise ValueError(f"onnxruntime cannot open the graph: {_first_line(error)}") from error
        used = self._session.get_providers()[0]
        if used != _PROVIDERS[provider]:  # it falls back to the CPU without a word
            raise ProviderMissing(f"onnxruntime opened the graph on {used} instead of {_PROVIDERS[provider]}.")
        self.provider = provider
        self._outputs = [output.name for output in self._session.get_outputs()]

    def run(self, arrays: Arrays) -> Arrays:
        """Outputs by name for inputs by name. Raises what onnxruntime raises."""
        outputs: list[Array] = self._session.run(self._outputs, arrays)
        return dict(zip(self._outputs, outputs, strict=True))

    def spec(self, file: str) -> GraphSpec:
        """Inputs and outputs as the graph itself states them."""
        return GraphSpec(
            file=file,
            inputs=tuple(_spec(node) for node in self._session.get_inputs()),
            outputs=tuple(_spec(node) for node in self._session.get_outputs()),
        )


def _wanted(provider: Provider) -> list[str]:
    return [_PROVIDERS["cuda"], _PROVIDERS["cpu"]] if provider == "cuda" else [_PROVIDERS["cpu"]]


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
