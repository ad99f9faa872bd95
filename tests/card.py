"""An NVIDIA card for machines without one: onnxruntime with a CUDA provider that computes on the CPU, until it is lost."""

from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from service import cuda


class FakeCard:
    """Stands in for `onnxruntime.InferenceSession` and `OrtValue` once `install` was called."""

    def __init__(self) -> None:
        self.lost = False
        self.opened: list[dict[str, str]] = []
        """The provider's options of each session."""
        self.bound_rows: list[int] = []
        """Of each run on bound arrays."""
        self._open = ort.InferenceSession

    def install(self, monkeypatch: pytest.MonkeyPatch) -> "FakeCard":
        monkeypatch.setattr(ort, "InferenceSession", self.session)
        monkeypatch.setattr(ort, "OrtValue", _Value)
        return self

    def session(self, data: bytes, options: Any, providers: list[Any], enable_fallback: int = 1) -> Any:
        if providers == ["CPUExecutionProvider"]:
            return self._open(data, options, providers=providers)
        self.answer()
        self.opened.append(providers[0][1])
        return _Session(self, self._open(data, options, providers=["CPUExecutionProvider"]))

    def answer(self) -> None:
        if self.lost:
            raise RuntimeError("CUDA failure 700: an illegal memory access was encountered")


class _Session:
    def __init__(self, card: FakeCard, real: ort.InferenceSession) -> None:
        self._card, self._real = card, real
        self.get_inputs, self.get_outputs = real.get_inputs, real.get_outputs

    def get_providers(self) -> list[str]:
        return [cuda.PROVIDER, "CPUExecutionProvider"]

    def run(self, names: list[str] | None, arrays: dict[str, np.ndarray], options: Any = None) -> list[np.ndarray]:
        self._card.answer()
        return self._real.run(names, arrays, options)

    def io_binding(self) -> "_Binding":
        return _Binding()

    def run_with_iobinding(self, binding: "_Binding", options: Any) -> None:
        self._card.answer()
        arrays = {name: value.array for name, value in binding.inputs.items()}
        self._card.bound_rows.append(len(next(iter(arrays.values()))))
        for name, answer in zip(binding.outputs, self._real.run(list(binding.outputs), arrays), strict=True):
            binding.outputs[name].update_inplace(answer)


class _Binding:
    def __init__(self) -> None:
        self.inputs: dict[str, _Value] = {}
        self.outputs: dict[str, _Value] = {}

    def bind_ortvalue_input(self, name: str, value: "_Value") -> None:
        self.inputs[name] = value

    def bind_ortvalue_output(self, name: str, value: "_Value") -> None:
        self.outputs[name] = value


class _Value:
    """An array on the card: what is copied to it must fit."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array.copy()

    @classmethod
    def ortvalue_from_numpy(cls, array: np.ndarray, device: str) -> "_Value":
        assert device == "cuda"
        return cls(array)

    def update_inplace(self, array: np.ndarray) -> None:
        assert (array.shape, array.dtype) == (self.array.shape, self.array.dtype)
        self.array[...] = array

    def numpy(self) -> np.ndarray:
        return self.array.copy()
