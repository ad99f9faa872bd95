"""A request for inference with tensors: each version that is asked reads it by its own manifest.

What a model's family makes of raw inputs (texts, encoded pictures) is asked of its room, so that tensors and typed verbs give
the same numbers. Knows models and the protocol's wire; knows no route.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from service import bodies, family, protocol, tensor_json, tensors
from service.errors import BadRequest, ServiceError, TooLarge
from service.family import Item, Predict, Raw
from service.golden import Array, Arrays
from service.http import SHORT_WORK
from service.model import Model
from service.settings import Settings

Done = TypeVar("Done")
LONG_BODY = 512 * 1024
"""Bytes of numbers that the event loop does not parse itself: about a millisecond."""


@dataclass
class Tensors:
    """A request for inference that came in; each version reads it by its own manifest."""

    body: protocol.Sent
    settings: Settings
    asked: protocol.Inference | None = None
    """As the version that was asked last read it."""

    def predict(self, model: Model) -> Predict:
        """All outputs."""
        return model.room.predict

    def prepare(self, model: Model) -> list[Item]:
        """The tensors as one item; raw inputs as an item each."""
        return self._items(model, *self._read(model))

    async def decode(self, model: Model) -> list[Item]:
        """`prepare`, in a thread where it is long; remembers what is `asked`."""
        long = len(self.body.data) > LONG_BODY
        asked, inputs = await model.gate.aside(self._read, model) if long else self._read(model)
        self.asked = asked
        if inputs is None:
            return [Item(asked.arrays)]
        work = sum(_each(inputs, lambda raw, one: raw.verb.reader.work(one, self.settings), model))
        if work > SHORT_WORK:
            return await model.gate.aside(self._items, model, asked, inputs)
        return self._items(model, asked, inputs)

    def _read(self, model: Model) -> tuple[protocol.Inference, list[Any] | None]:
        """What is asked, and its raw inputs where it has those instead of tensors."""

        def parse(written: bytes | memoryview) -> object:
            data, deepest = bytes(written), self.settings.max_json_depth
            return tensor_json.parse(data, deepest) or bodies.parse_json(data, deepest)

        plain = self.body.stated is None
        if plain and (known := model.stencils.read(self.body.data)):
            return known, None
        asked = protocol.read_request(self.body, model.takes, self.settings, parse)
        raw = family.raw(model.room)
        if raw is None or raw.name not in asked.arrays:
            tensors.check(asked.arrays, model.manifest.graph.inputs, model.manifest.limits)
            if plain:
                model.stencils.learn(self.body.data, asked, model.takes.specs)
            return asked, None
        elements = _elements(asked.arrays, raw, self.settings)
        return asked, _each(elements, lambda raw, element: raw.read(element, self.settings), model)

    @staticmethod
    def _items(model: Model, asked: protocol.Inference, inputs: list[Any] | None) -> list[Item]:
        if inputs is None:
            return [Item(asked.arrays)]
        return _each(inputs, lambda raw, one: raw.verb.preprocess(one, model.assets), model)


def _elements(arrays: Arrays, raw: Raw, settings: Settings) -> list[bytes]:
    """Of the input that stands for all others."""
    if len(arrays) > 1:
        raise BadRequest(f"Input '{raw.name}' stands for all inputs; {sorted(set(arrays) - {raw.name})} came beside it.")
    array: Array = arrays[raw.name]
    if array.ndim not in (1, 2) or array.shape[1:] not in ((), (1,)) or not len(array):
        raise BadRequest(f"Input '{raw.name}' has shape {list(array.shape)}; expected [-1, 1] or [-1].")
    if len(array) > settings.max_items:
        raise TooLarge(f"Input '{raw.name}' has {len(array)} elements; expected at most {settings.max_items}.")
    return list(array.reshape(-1))


def _each(elements: Sequence[Any], does: Callable[[Raw, Any], Done], model: Model) -> list[Done]:
    """What `does` makes of each element of a model's raw input. Raises with the place of the first that is wrong."""
    raw = family.raw(model.room)
    found = list[Done]()
    for index, element in enumerate(elements):
        try:
            if raw:
                found.append(does(raw, element))
        except ServiceError as error:
            raise type(error)(f"Element {index} of an input of BYTES: {error.message}") from error
    return found
