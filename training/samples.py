"""What a version's page starts with: a few held-out rows and what is true of them, in the form of the service's requests.

Knows the forms of raw rows (pictures, texts, windows of series, vocabularies); knows no family, no network, and not what
the rows are about.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from service import images, vocabulary
from service.golden import Array, Arrays
from service.manifest import SAMPLES, File, Manifest, sha256
from service.samples import Sample, Samples
from service.vocabulary import Vocabulary
from training import place, publish
from training.room import Data, Scores, TrainingError
from training.settings import Settings

PUBLIC = 12
"""Rows of public data that are shown where nobody says how many."""
LOOKED_THROUGH = 1_000
"""Rows that samples are chosen among."""
FEW = 4
"""Of so few rows none is there because it is hard."""
BEYOND = 336
"""Steps of a series beyond one window, so that a forecast can start at several of them."""
RANKS = (200, 5_000)
"""Of the words that are shown: the commonest ones say little."""
WORDS = 8
OURS = {"IMDb reviews": Path(__file__).parent / "reviews.json"}
"""Texts of our own, by source, in place of texts whose authors nobody asked."""


def file(data: Data, found: Scores, asked: int | None, *, own: bool) -> dict[str, bytes]:
    """The version's file: `asked` rows; where that is not said, PUBLIC of public data and none of the user's own."""
    if made := of(data, found, (0 if own else PUBLIC) if asked is None else asked):
        source = data.source
        note = f"Chosen for {source.name}{': ' if source.note else ''}{source.note}."
        return {SAMPLES: Samples(note=note, samples=made).model_dump_json().encode()}
    return {}


def of(data: Data, found: Scores, count: int) -> list[Sample]:
    """At most `count` held-out rows. Words are no rows: some are always there."""
    if vocabulary.FILE in data.files:
        return _words(Vocabulary.load(data.files[vocabulary.FILE]))
    if not count:
        return []
    if "text" in data.test and data.source.name in OURS:
        return Samples.model_validate_json(OURS[data.source.name].read_bytes()).samples[:count]
    if "window" in data.test:
        return [_stretch(data.test, data.labels)]
    rows = _chosen(data.test, found.arrays.get("probabilities"), count)
    truth = [data.labels[label] if data.labels else None for label in data.test["label"]]
    if "text" in data.test:
        return [Sample(title=title, body={"texts": [data.test["text"][row]]}, truth=truth[row]) for row, title in rows.items()]
    return [
        Sample(title=title, body={"images": [images.to_base64(data.test["image"][row])]}, truth=truth[row])
        for row, title in rows.items()
    ]


def _chosen(split: Arrays, probabilities: Array | None, count: int) -> dict[int, str]:
    """Rows of each label in turn; the surest mistake and the least sure hit last, where `probabilities` tell."""
    truth = split["label"][:LOOKED_THROUGH].astype(np.int64)
    hard = {} if probabilities is None or count <= FEW else _hard(probabilities, split["label"].astype(np.int64))
    turns = np.array([int((truth[:row] == truth[row]).sum()) for row in range(len(truth))])
    plain = [int(row) for row in np.lexsort((truth, turns)) if int(row) not in hard]
    return {**dict.fromkeys(plain[: count - len(hard)], ""), **hard}


def _hard(probabilities: Array, truth: NDArray[np.int64]) -> dict[int, str]:
    sure, right = probabilities.max(1), probabilities.argmax(1) == truth
    hard = {int(np.where(right, sure, 2).argmin()): "hardly told"} if right.any() else {}
    return hard if right.all() else {**hard, int(np.where(right, -1, sure).argmax()): "taken for another"}


def _stretch(split: Arrays, columns: Sequence[str]) -> Sample:
    """Steps that follow each other: the first window, and the last step of each that goes on from it."""
    windows = split["window"][: BEYOND + 1]
    steps, last = [windows[0]], 0
    while last + 1 < len(windows) and np.array_equal(windows[last + 1][:-1], windows[last][1:]):
        last += 1
        steps.append(windows[last][-1:])
    whole = np.concatenate(steps)
    series = {name: [float(str(value)) for value in whole[:, index]] for index, name in enumerate(columns)}
    return Sample(title=f"{len(whole):,} steps", body={"series": series})


def _words(known: Vocabulary) -> list[Sample]:
    ranks = np.geomspace(*RANKS, WORDS).astype(int)
    ranks = ranks if len(known.words) > RANKS[1] else np.arange(min(WORDS, len(known.words)))
    return [Sample(body={"words": [known.words[rank]]}) for rank in ranks]


def republish(settings: Settings, into: str, model: tuple[str, int | None], file: Path) -> Path:
    """A published version anew, with the samples of `file` for its page; its folder in `into`. Raises TrainingError."""
    manifest, folder = publish.read(place.repository(settings), *model)
    try:
        content = Samples.model_validate_json(file.read_bytes()).model_dump_json().encode()
        files = {name: (folder / name).read_bytes() for name in manifest.files if name != SAMPLES} | {SAMPLES: content}
    except OSError as error:
        raise TrainingError(f"{error.filename} cannot be read: {error.strerror}.") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "it"
        raise TrainingError(f"{file} holds no samples: {where}: {first['msg']}.") from error

    def numbered(version: int) -> Manifest:
        listed = {name: File(sha256=sha256(data), size_bytes=len(data)) for name, data in files.items()}
        evaluate = manifest.evaluate.replace(f":{manifest.version}", f":{version}")
        parent = manifest.version if into == settings.models_dir else manifest.parent
        return manifest.model_copy(update={"version": version, "files": listed, "evaluate": evaluate, "parent": parent})

    return place.put(settings.model_copy(update={"models_dir": into}), manifest.name, files, numbered)
