"""Words in; vectors, neighbours, analogies and similarities out: serves what `training/families/word2vec.py` exports.

The graph takes word numbers (int32 `words`, batch x terms, 0 for padding) and a weight each (float32 `weights`), and gives
the words' unit `vectors` (float32, batch x terms x size), and of the direction that the weighted sum of them points to the
`neighbors` (int32, batch x most, the nearest first) and their `cosines` (float32, batch x most); the words that were sent are
not among them. Where every weight is 0, nothing is searched. Numbers and spellings stand in `service/vocabulary.py`. Knows
nothing of HTTP beyond its requests' fields.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any

import numpy as np
import orjson
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from service import bodies, family, media, planes, vocabulary
from service.errors import BadRequest, InvalidInput
from service.golden import Arrays
from service.manifest import Manifest
from service.settings import Settings
from service.vocabulary import MOST, TERMS, Vocabulary

LEAST = -1.5
"""No cosine is as small: what stands there is none."""
EMBED: dict[str, Any] = {"words": ["brilliant", "dull"]}
NEIGHBORS: dict[str, Any] = {"word": "brilliant", "k": 5}
ANALOGY: dict[str, Any] = {"positive": ["king", "woman"], "negative": ["man"], "k": 3}
SIMILARITY: dict[str, Any] = {"pairs": [["film", "movie"], ["film", "lawnmower"]]}

K = Annotated[int, Field(ge=1, le=MOST, description="how many neighbours")]


class _Request(bodies.Words):
    model_config = ConfigDict(extra="forbid", strict=True)


class EmbedRequest(_Request):
    """Words; of a model that was trained on a table, values such as `dest=ATL`."""

    model_config = ConfigDict(json_schema_extra={"examples": [EMBED]})

    words: Annotated[bodies.Strings, Field(min_length=1, description="each a word of the vocabulary")]

    def inputs(self) -> Sequence[str]:
        return self.words


class NeighborsRequest(_Request):
    """A word, and how many of those nearest to it are wanted."""

    model_config = ConfigDict(json_schema_extra={"examples": [NEIGHBORS]})

    word: Annotated[str, Field(description="a word of the vocabulary")]
    k: K = 10


class AnalogyRequest(_Request):
    """What is `positive[1]` to `positive[0]` less `negative[0]`: the words nearest to the sum less the others."""

    model_config = ConfigDict(json_schema_extra={"examples": [ANALOGY]})

    positive: Annotated[bodies.Strings, Field(min_length=1, max_length=TERMS // 2, description="words that are added")]
    negative: Annotated[bodies.Strings, Field(default_factory=list, max_length=TERMS // 2, description="words taken away")]
    k: K = 10


class SimilarityRequest(_Request):
    """Pairs of words."""

    model_config = ConfigDict(json_schema_extra={"examples": [SIMILARITY]})

    pairs: Annotated[
        list[Annotated[bodies.Strings, Field(min_length=2, max_length=2)]],
        Field(min_length=1, fail_fast=True, description="each two words"),
    ]

    def inputs(self) -> Sequence[list[str]]:
        return self.pairs


class Unknown(BaseModel):
    """A word without a vector, and words that are spelt like it."""

    word: str
    error: str
    code: str
    near: list[str]


class Embedded(BaseModel):
    """A word's unit vector, and how often it came up in training; of an unknown word, why there is none."""

    word: str
    vector: list[float] | None
    count: int
    unknown: list[Unknown]


class Neighbor(BaseModel):
    """A word, its cosine with what was asked, and how often it came up in training."""

    word: str
    similarity: float
    count: int


class Neighborhood(BaseModel):
    """The nearest words, the nearest first. `excluded` are the words that were sent: they would be their own nearest."""

    neighbors: list[Neighbor]
    excluded: list[str]
    unknown: list[Unknown]


class Similarity(BaseModel):
    """The cosine of two words' vectors, from -1 to 1."""

    pair: list[str]
    similarity: float | None
    unknown: list[Unknown]


@dataclass(frozen=True)
class Sent:
    """Words as they were sent, and the number of each; None where it has none."""

    words: list[str]
    numbers: list[int | None]
    k: int = 0

    @property
    def known(self) -> bool:
        """Whether each of them has a vector."""
        return None not in self.numbers


@dataclass(frozen=True)
class Assets(Vocabulary):
    """The words, and where they stand on a plane."""

    plane: dict[str, Any] | None = None


def assets(manifest: Manifest, files: Mapping[str, bytes], settings: Settings) -> Assets:  # noqa: ARG001 - no limit of it is the room's
    """Raises ValueError where vocabulary and graph do not fit each other."""
    found = Vocabulary.load(files[vocabulary.FILE])
    shapes = {tensor.name: tensor.row_shape for tensor in (*manifest.graph.inputs, *manifest.graph.outputs)}
    names = {"words": ("terms",), "weights": ("terms",), "vectors": ("terms", None), "neighbors": (None,), "cosines": (None,)}
    sizes = {name: tuple(size if isinstance(size, str) else None for size in shape) for name, shape in shapes.items()}
    if sizes != names or shapes["neighbors"] != shapes["cosines"]:
        raise ValueError(f"the graph's rows are {shapes}; this family's are {names}")
    if manifest.limits.get("terms") != TERMS:
        raise ValueError(f"the manifest's limits are {manifest.limits}; expected {TERMS} terms")
    if manifest.limits.get("words") != len(found.words):
        raise ValueError(f"the graph knows {manifest.limits.get('words')} words, {vocabulary.FILE} {len(found.words)}")
    return Assets(found.words, found.counts, found.columns, planes.read(files, planes.MAP, planes.Words))


def _item(words: Sequence[str], weights: Sequence[float], known: Vocabulary, k: int = 0) -> family.Item:
    """Words to `words` and `weights` (1 x terms); an unknown one is padding, and is told of later."""
    sent = Sent(list(words), [known.find(word) for word in words], k)
    numbers = [vocabulary.PADDING if number is None else number for number in sent.numbers]
    return family.Item({"words": np.array([numbers], np.int32), "weights": np.array([weights], np.float32)}, sent)


def preprocess_word(raw: str, assets: Vocabulary) -> family.Item:
    """A word to an item of one term, nothing to be searched for."""
    return _item([raw], [0], assets)


def preprocess_pair(raw: list[str], assets: Vocabulary) -> family.Item:
    """Two words to an item of two terms, nothing to be searched for."""
    return _item(raw, [0, 0], assets)


def preprocess_neighbors(raw: NeighborsRequest, assets: Vocabulary) -> family.Item:
    """A word to an item of one term."""
    return _item([raw.word], [1], assets, raw.k)


def preprocess_analogy(raw: AnalogyRequest, assets: Vocabulary) -> family.Item:
    """Words that are added and words that are taken away to an item of as many terms."""
    weights = [1.0] * len(raw.positive) + [-1.0] * len(raw.negative)
    return _item([*raw.positive, *raw.negative], weights, assets, raw.k)


def predict(graphs: family.Graphs, arrays: Arrays) -> Arrays:
    """`words` and `weights` of a batch to all outputs of a batch."""
    return graphs["model"].run(arrays)


def predict_vectors(graphs: family.Graphs, arrays: Arrays) -> Arrays:
    """The same of a batch in which every weight is 0, so that nothing is searched: a batch of its own, because it is short."""
    return predict(graphs, arrays)


def postprocess_word(arrays: Arrays, about: Sent, assets: Vocabulary, options: family.Options) -> dict[str, Any]:  # noqa: ARG001 - every room's signature
    """One row's arrays to an `Embedded`."""
    (number,) = about.numbers
    vector = None if number is None else arrays["vectors"][0, 0]
    count = 0 if number is None else assets.count(number)
    return {"word": about.words[0], "vector": vector, "count": count, "unknown": _unknown(about, assets)}


def postprocess_pair(arrays: Arrays, about: Sent, assets: Vocabulary, options: family.Options) -> dict[str, Any]:  # noqa: ARG001 - every room's signature
    """One row's arrays to a `Similarity`."""
    one, other = arrays["vectors"][0, :2].astype(np.float64)
    similarity = float(np.clip(one @ other, -1, 1)) if about.known else None
    return {"pair": about.words, "similarity": similarity, "unknown": _unknown(about, assets)}


def postprocess_neighbors(arrays: Arrays, about: Sent, assets: Vocabulary, options: family.Options) -> dict[str, Any]:  # noqa: ARG001 - every room's signature
    """One row's arrays to a `Neighborhood`."""
    nearest = zip(arrays["neighbors"][0].tolist(), arrays["cosines"][0], strict=True) if about.known else ()
    found = [
        {"word": assets.word(number), "similarity": cosine, "count": assets.count(number)}
        for number, cosine in nearest
        if cosine > LEAST
    ]
    excluded = [assets.word(number) for number in about.numbers if number is not None]
    return {"neighbors": found[: about.k], "excluded": excluded, "unknown": _unknown(about, assets)}


def _unknown(about: Sent, known: Vocabulary) -> list[dict[str, Any]]:
    return [
        {
            "word": word,
            "error": f"{word!r} is not among the {len(known.words):,} words of this model.",
            "code": "unknown_word",
            "near": known.near(word),
        }
        for word, number in zip(about.words, about.numbers, strict=True)
        if number is None
    ]


def common(assets: Vocabulary) -> list[str]:
    """Two words that this version knows."""
    return [assets.words[0], assets.words[-1]]


def preprocess_known(raw: NeighborsRequest, assets: Vocabulary) -> family.Item:
    """A word to an item of one term. Raises InvalidInput where it has no vector: tensors have no place to say so."""
    item = preprocess_neighbors(raw, assets)
    if not item.about.known:
        raise InvalidInput(_unknown(item.about, assets)[0]["error"])
    return item


def _body(element: bytes) -> bodies.Body:
    """A word as a request for its neighbours. Raises BadRequest."""
    try:
        return bodies.Body(orjson.dumps({"word": element.decode()}), media.JSON, b"")
    except UnicodeDecodeError as error:
        raise BadRequest(f"It is not UTF-8: {error.reason} at byte {error.start}.") from None


def alike(one: Arrays, other: Arrays) -> NDArray[np.bool_]:
    """Rows whose nearest word is the same."""
    same: NDArray[np.bool_] = one["neighbors"][:, 0] == other["neighbors"][:, 0]
    return same


class VocabularyOptions(family.Options):
    """The query."""

    prefix: Annotated[str, Field(max_length=200, description="how the words start; empty for all")] = ""
    limit: Annotated[int, Field(ge=1, le=1000, description="how many words, the commonest first")] = 20


class Listed(BaseModel):
    """A word and how often it came up in training."""

    word: str
    count: int


class Words(BaseModel):
    """The commonest words that start with the prefix, how many words do, and how many there are."""

    words: list[Listed]
    matching: int
    total: int


def starting(assets: Vocabulary, options: VocabularyOptions) -> dict[str, Any]:
    """The commonest words that start with `options.prefix`."""
    numbers, matching = assets.starting(options.prefix, options.limit)
    words = [{"word": assets.word(number), "count": assets.count(number)} for number in numbers]
    return {"words": words, "matching": matching, "total": len(assets.words)}


lookups = (
    family.Lookup(
        name="vocabulary", summary="The words there are vectors for", Options=VocabularyOptions, Answer=Words, answer=starting
    ),
    planes.lookup("map", "The commonest words on a plane", planes.Words),
)
_words = partial(family.Verb, reader=bodies.WORDS, Options=family.Options)
verbs = (
    _words(
        name="embed",
        summary="The vector of each word",
        Request=EmbedRequest,
        Prediction=Embedded,
        preprocess=preprocess_word,
        predict=predict_vectors,
        postprocess=postprocess_word,
        example=EMBED,
        warms_up=lambda assets: {"words": common(assets)},
    ),
    _words(
        name="neighbors",
        summary="The words nearest to a word",
        Request=NeighborsRequest,
        Prediction=Neighborhood,
        preprocess=preprocess_neighbors,
        predict=predict,
        postprocess=postprocess_neighbors,
        example=NEIGHBORS,
        warms_up=lambda assets: {"word": common(assets)[0]},
    ),
    _words(
        name="analogy",
        summary="The words nearest to a sum of words",
        Request=AnalogyRequest,
        Prediction=Neighborhood,
        preprocess=preprocess_analogy,
        predict=predict,
        postprocess=postprocess_neighbors,
        example=ANALOGY,
        warms_up=lambda assets: {"positive": common(assets)[:1], "negative": common(assets)[1:]},
    ),
    _words(
        name="similarity",
        summary="How near two words are to each other",
        Request=SimilarityRequest,
        Prediction=Similarity,
        preprocess=preprocess_pair,
        predict=predict_vectors,
        postprocess=postprocess_pair,
        example=SIMILARITY,
        warms_up=lambda assets: {"pairs": [common(assets)]},
    ),
)
raw = family.Raw("word", replace(verbs[1], preprocess=preprocess_known), _body)
