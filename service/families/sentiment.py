"""Texts in, a verdict each out: serves `POST /v1/sentiment` for any version that `training/families/sentiment.py` exports.

The graph takes token numbers (int32, batch x time, 0 for padding) and gives `probabilities` (float32, batch x labels),
calibrated, and `contributions` (float32, batch x time x labels), each token's part of each label's score. Tokenising stands in
`service/text.py`, its vocabulary in the version's `tokenizer.json`. Knows nothing of HTTP beyond its request's fields, and
nothing of films.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from service import bodies, drift, explaining, family, media, tensors, text
from service.golden import Arrays
from service.manifest import Manifest
from service.settings import Settings
from service.text import Encoded, Tokenizer

METHOD = (
    "additive: each word's part is what the recurrent states change by at it, read through the output layer; "
    "base and parts add up to the log-odds of the label"
)
EXAMPLE: dict[str, Any] = {"texts": ["A slow start, but the ending is superb."]}


class Request(BaseModel):
    """Texts, such as reviews."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra={"examples": [EXAMPLE]})

    texts: Annotated[bodies.Strings, Field(description="each a text; a long one is cut, and its answer says so")]


class Options(family.Options):
    """The query."""

    explain: Annotated[bool, Field(description="whether to say what each word contributed")] = False
    after: Annotated[bool, Field(description="whether to say how probable the label was after each word")] = False


class Word(BaseModel):
    """A word as it stands in the text, from character `start` up to `end`, and its part of the log-odds."""

    text: str
    start: int
    end: int
    contribution: float
    known: Annotated[bool, Field(description="whether the model has a number for it")]


class Cut(BaseModel):
    """What of a long text was left out, from character `start` up to `end`."""

    start: int
    end: int
    tokens: int


class Explanation(BaseModel):
    """Log-odds of the label against the others (natural logarithm): `base` and the words' contributions add up to them."""

    method: str
    log_odds: float
    base: float
    words: list[Word]
    cut: Cut | None


class After(BaseModel):
    """How probable the label was when the first `words` of the words, up to character `end`, were all of the text."""

    words: int
    end: int
    probability: float


class Prediction(BaseModel):
    """The likeliest label and every label's probability; how much of the text was read, and how much of that was known."""

    label: str
    probability: float
    probabilities: dict[str, float]
    tokens: int
    truncated: bool
    unknown_share: float
    explanation: Explanation | None = None
    after: Annotated[list[After] | None, Field(description=f"at most {explaining.STEPS}, evenly spread")] = None


@dataclass(frozen=True)
class Assets:
    """The labels in the order of the graph's outputs, and the vocabulary."""

    labels: tuple[str, ...]
    tokenizer: Tokenizer


@dataclass(frozen=True)
class Read:
    """A text and what was made of it."""

    text: str
    encoded: Encoded


def assets(manifest: Manifest, files: Mapping[str, bytes], settings: Settings) -> Assets:  # noqa: ARG001 - no limit of it is the room's
    """Raises ValueError where tokenizer, labels and graph do not fit each other."""
    tokenizer = Tokenizer.load(files[text.FILE])
    shapes = {tensor.name: tensor.row_shape for tensor in (*manifest.graph.inputs, *manifest.graph.outputs)}
    classes = len(manifest.labels)
    wanted = {"tokens": ("time",), "probabilities": (classes,), "contributions": ("time", classes)}
    if shapes != wanted:
        raise ValueError(f"the graph's rows are {shapes}; this family's are {wanted}")
    if manifest.limits.get("time") != tokenizer.limit:
        raise ValueError(f"the manifest's limits are {manifest.limits}, {text.FILE} keeps {tokenizer.limit} tokens")
    return Assets(manifest.labels, tokenizer)


def preprocess(raw: str, assets: Assets) -> family.Item:
    """A text to `tokens` (int32, 1 x time)."""
    encoded = assets.tokenizer.encode(raw)
    return family.Item({"tokens": encoded.ids[np.newaxis]}, Read(raw, encoded))


def predict(graphs: family.Graphs, arrays: Arrays) -> Arrays:
    """`tokens` of a batch to `probabilities` and `contributions` of a batch."""
    return graphs["model"].run(arrays)


def predict_after(graphs: family.Graphs, arrays: Arrays) -> Arrays:
    """The same, and of each text's beginnings their `lengths` (batch x steps) and probabilities (… x labels)."""

    def ask(tokens: Any) -> Any:
        return predict(graphs, {"tokens": tokens})["probabilities"]

    lengths, beginnings = explaining.after(arrays["tokens"], text.PADDING, ask)
    return {**predict(graphs, arrays), "lengths": lengths, "beginnings": beginnings}


def further(options: Options, manifest: Manifest) -> family.Predict | None:  # noqa: ARG001 - every version can
    """What runs where the query asks for the text's beginnings, too."""
    return predict_after if options.after else None


def postprocess(arrays: Arrays, about: Read, assets: Assets, options: Options) -> dict[str, Any]:
    """One row's arrays to a `Prediction`."""
    row = arrays["probabilities"][0]
    best, encoded = int(row.argmax()), about.encoded
    prediction = {
        "label": assets.labels[best],
        "probability": row[best],
        "probabilities": dict(zip(assets.labels, row, strict=True)),
        "tokens": sum(map(len, encoded.kept)),
        "truncated": encoded.truncated,
        "unknown_share": round(encoded.unknown_share, 4),
    }
    places = text.spans(about.text) if options.explain or options.after else []
    if options.explain:
        prediction["explanation"] = {**_explanation(about, places, row, arrays["contributions"][0]), "cut": _cut(about, places)}
    if options.after:
        prediction["after"] = _after(about, places, arrays["lengths"][0], arrays["beginnings"][0, :, best])
    return prediction


Places = list[tuple[int, int]]
"""Where each word of a text starts and ends."""


def _kept(about: Read, places: Places) -> Places:
    """Of the words that were read."""
    return [places[index] for part in about.encoded.kept for index in part]


def _cut(about: Read, places: Places) -> dict[str, int] | None:
    """What was left out between the words that were read."""
    kept = about.encoded.kept
    if not about.encoded.truncated:
        return None
    first, last = kept[0].stop, kept[-1].start if len(kept) > 1 else about.encoded.total
    return {"start": places[first][0], "end": places[last - 1][1], "tokens": last - first}


def _after(about: Read, places: Places, lengths: Any, probabilities: Any) -> list[dict[str, Any]]:
    """A text without a token has no beginning."""
    kept = _kept(about, places)
    return [
        {"words": length, "end": kept[length - 1][1], "probability": probability}
        for length, probability in zip(lengths.tolist(), probabilities, strict=True)
        if 0 < length <= len(kept)
    ]


def _explanation(about: Read, places: Places, probabilities: Any, contributions: Any) -> dict[str, Any]:
    """The chosen label's log-odds against the mean of the others, taken apart word by word."""
    best = int(probabilities.argmax())
    logs = np.log(np.maximum(probabilities.astype(np.float64), 1e-30))
    log_odds = _against(logs, best)
    parts = _against(contributions[: len(about.encoded.ids)].astype(np.float64), best)
    known = about.encoded.ids != text.UNKNOWN
    return {
        "method": METHOD,
        "log_odds": log_odds,
        "base": log_odds - parts.sum(),
        "words": [
            {"text": about.text[start:end], "start": start, "end": end, "contribution": part, "known": bool(number)}
            for (start, end), part, number in zip(
                _kept(about, places), parts, known, strict=False
            )  # without a token: one unknown word
        ],
    }


def _against(scores: Any, best: int) -> Any:
    """Scores (…, labels) of one label less the mean of the others."""
    others = np.delete(scores, best, axis=-1)
    return scores[..., best] - others.mean(-1)


def watched(manifest: Manifest) -> tuple[drift.Watched, ...]:
    """How many tokens texts have, how many of those are unknown, and which labels they get."""
    stated = manifest.statistics
    unknown = stated.get("unknown_share")
    shares = {"known": 1 - unknown, "unknown": unknown} if isinstance(unknown, float) else None
    return (
        *drift.ranged("tokens", stated.get("token_deciles"), "tokens", lambda rows: (rows != text.PADDING).sum(1)),
        *drift.chosen("unknown_words", shares, "tokens", _unknown),
        *drift.chosen("label", stated.get("label_shares"), "probabilities", lambda rows: rows.argmax(1)),
    )


def _unknown(tokens: Any) -> Any:
    """(rows, time) -> 1 for each token that no word stands for, 0 for the others, -1 for padding."""
    return np.where(tokens == text.PADDING, -1, tokens == text.UNKNOWN)


alike = partial(tensors.same_choice, "probabilities")
"""Rows with the same likeliest label."""
verbs = (
    family.Verb(
        name="sentiment",
        summary="What a text says of its subject",
        reader=bodies.TEXTS,
        Request=Request,
        Options=Options,
        Prediction=Prediction,
        preprocess=preprocess,
        predict=predict,
        postprocess=postprocess,
        further=further,
        example=EXAMPLE,
    ),
)
raw = family.Raw("text", verbs[0], lambda element: bodies.Body(element, media.TEXT, b""))
