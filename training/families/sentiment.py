"""Texts to labels: trains what `service/families/sentiment.py` serves.

Task: one label for each text (sequence to vector: the loss sees one vector a text, and back-propagation through time runs
through all of its steps). Source: IMDb reviews (Maas et al. 2011), or `--data`, a table or a folder with one folder a class.
Network: word vectors, an optional strided convolution that shortens the text, recurrent layers (Hochreiter and Schmidhuber
1997; Cho et al. 2014), their states read out. Expected score and time: the README's table.

The graph: `tokens` (int32, batch x time, 0 for padding) -> `probabilities` (float32, batch x labels) and `contributions`
(float32, batch x time x labels), which add up to the labels' scores but for a constant.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from service import text
from service.golden import Arrays
from service.text import PADDING, UNKNOWN, Tokenizer
from training import ngrams, plots, scores, sources, texts, vectors
from training.documents import Documents, Lexicon, padded, pieces, shortened, training_rows
from training.reader import Deployed, Plan, Reader, by_length, log_shares
from training.room import RECIPE_BOUNDS, Batch, Data, Export, Fit, Keeper, Predict, Ragged, Scores, Sources, check

name = "reviews"
gate = "accuracy"
reported = ("accuracy",)
tolerance = 0.01
SHARES = {
    "validation_share": (0, 0.4),
    "test_share": (0, 0.4),
    "label_smoothing": (0, 1),
    "dropout": (0, 1),
    "word_dropout": (0, 1),
}
BOUNDS = {**RECIPE_BOUNDS, **SHARES, "units": (1, 2048), "layers": (1, 8), "conv": (0, 8), "size": (1, 1024),
          "vocabulary": (1, 1_000_000), "limit": (1, 10_000), "rounds": (1, 9), "adversarial": (0, 100)}  # fmt: skip
VARIANTS: dict[str, dict[str, Any]] = {
    "LSTM behind a convolution": {"cell": "lstm", "conv": 2},
    "GRU behind a convolution": {"cell": "gru", "conv": 2, "precision": None},
    "plain RNN behind a convolution": {"cell": "rnn", "conv": 2, "precision": None},
    "LSTM alone": {"cell": "lstm", "conv": 0},
    "GRU alone": {"cell": "gru", "conv": 0, "precision": None},
    "plain RNN alone": {"cell": "rnn", "conv": 0, "precision": None},
}
"""What `compare` trains beside each other."""
FEWEST = 5
"""Texts of a class."""
ENOUGH = 10_000
"""Texts that a network learns from; where there are fewer, pieces of them are judged by the n-gram model."""


@dataclass(frozen=True)
class Config:
    """How a reader of texts is trained. The defaults are what the shipped `reviews` was trained with."""

    # The recurrent cell; `rnn` is the plain tanh one.
    cell: Literal["lstm", "gru", "rnn"] = "lstm"
    # Read each text from both ends.
    bidirectional: bool = True
    # Recurrent layers.
    layers: int = 1
    # Units of each recurrent layer and direction.
    units: int = 96
    # Stride of a convolution that shortens the text before the recurrent layers; 0 for none.
    conv: int = 2
    # What is read out of the recurrent states: the last one, or their mean and maximum.
    readout: Literal["pooled", "last"] = "pooled"
    # Numbers in a word's vector.
    size: int = 100
    # Words in the vocabulary, the commonest ones.
    vocabulary: int = 30_000
    # Tokens read of a text; of a longer one a third from its start and the rest from its end.
    limit: int = 400
    # What training starts from: nothing, word vectors of the source's texts, or also a teacher for its unlabelled ones.
    pretrain: Literal["none", "vectors", "teacher"] = "teacher"
    # How often a reader teaches the next one.
    rounds: int = 2
    # Passes over the training rows.
    epochs: int = 6
    # Rows in one step.
    batch_size: int = 128
    # Peak rate of AdamW.
    learning_rate: float = 0.004
    # Decoupled weight decay (Loshchilov and Hutter 2019), not on biases and word vectors.
    weight_decay: float = 0.05
    # How the rate changes.
    schedule: Literal["one-cycle", "constant"] = "one-cycle"
    # Share of the training rows seen in an epoch, those not yet learnt first. 1 where labels may be wrong.
    focus: float = 1.0
    # Longest the gradient may be (Pascanu et al. 2013).
    clip: float | None = 1.0
    # Keep a moving average of the weights instead of the last ones.
    average: bool = True
    # Share of the words taken for unknown in a step.
    word_dropout: float = 0.2
    # Share of the features left out in a step.
    dropout: float = 0.3
    # How far a text's word vectors are also moved the worst way (Miyato et al. 2017); 0 for not, else 2.4 times as slow.
    adversarial: float = 0.0
    # Share of a label's target spread over all labels; a teacher's answers are taken as they are.
    label_smoothing: float = 0.1
    # Arithmetic of the matrix products while training; the cell's own where none is given. The graph is float32.
    precision: Literal["bfloat16", "float32"] | None = None
    # Your table's column of texts.
    text_column: str = "text"
    # Your table's column of labels.
    label_column: str = "label"
    # Of the training rows, held out to watch training and to calibrate.
    validation_share: float = 0.1
    # Of your own texts, held out to report on.
    test_share: float = 0.15
    # Of everything random.
    seed: int = 0

    def __post_init__(self) -> None:
        """What suits the cell, where nothing was given. Raises TrainingError on a field out of bounds."""
        if self.precision is None:  # on a CPU, PyTorch has a fused LSTM for bfloat16, and no other cell
            object.__setattr__(self, "precision", "bfloat16" if self.cell == "lstm" else "float32")
        check(self, BOUNDS)

    @property
    def head(self) -> int:
        """Tokens kept of a long text's start."""
        return self.limit // 3


def data(config: Config, origin: Sources) -> Data:
    """IMDb's own test split, or a share of the user's texts; validation rows cut from the rest by seed."""
    corpus = (
        texts.imdb(origin) if origin.own is None else texts.own(origin.own, config.text_column, config.label_column, FEWEST)
    )
    rest, test = corpus.rest, corpus.test
    if test is None:
        left, held_out = sources.split(rest.targets, (config.test_share,), config.seed)
        rest, test = rest.part(left), rest.part(held_out)
    train_index, validation_index = sources.split(rest.targets, (config.validation_share,), config.seed)
    train, validation = rest.part(train_index), rest.part(validation_index)
    unlabelled = corpus.unlabelled if config.pretrain != "none" else []
    lexicon = Lexicon()
    documents = Documents([lexicon.numbers(one) for one in train.texts], [lexicon.numbers(one) for one in unlabelled])
    words = lexicon.commonest(documents.both, config.vocabulary, least=2 if len(train.texts) < 5_000 else 5)
    tokenizer = Tokenizer(words, config.limit, config.head)
    documents = documents.renumbered(lexicon.renumbering(words))
    split = {"train": train.texts, "validation": validation.texts, "test": test.texts, "unlabelled": unlabelled}
    targets = _smoothed(train.targets, len(corpus.labels), config.label_smoothing)
    return Data(
        train=training_rows(documents.labelled, targets, config.limit, config.head),
        validation=_raw(validation),
        test=_raw(test),
        source=corpus.source({name: len(part) for name, part in split.items() if part}),
        shape={"words": tokenizer.size, "classes": len(corpus.labels), "limit": config.limit},
        labels=corpus.labels,
        preparation={"tokens": "words", "limit": config.limit, "head": tokenizer.head},
        files={text.FILE: tokenizer.dump()},
        ragged=Ragged("length", ("tokens",)),
        unlabelled=documents,
    )


def _smoothed(targets: NDArray[np.int64], classes: int, smoothing: float) -> NDArray[np.float64]:
    """(rows, classes): each row's label, and the same small share of every label."""
    shares: NDArray[np.float64] = np.eye(classes)[targets] * (1 - smoothing) + smoothing / classes
    return shares


def _raw(part: texts.Labelled) -> Arrays:
    return {"text": np.array(part.texts, object), "label": part.targets}


def rows(split: Arrays, files: Mapping[str, bytes]) -> Arrays:
    """The texts in the numbers of a version's own tokenizer."""
    tokenizer = Tokenizer.load(files[text.FILE])
    encoded = [tokenizer.encode(one).ids for one in split["text"]]
    return {"tokens": padded(encoded, tokenizer.limit), "label": split["label"]}


def pretrain(config: Config, data: Data, run: Keeper, fit: Fit) -> Data:
    """Word vectors of all the training texts; then, round by round, teachers' opinion of the texts without a label.

    Of few texts a network learns nothing but to know each one, and word vectors are noise: pieces of them stand in for the
    many that are not there, and the n-gram model says what it thinks of those.
    """
    documents: Documents = data.unlabelled
    missing = max(0, ENOUGH - len(documents.both))
    if config.pretrain == "none":
        return data
    given = data
    if config.pretrain == "vectors" or not missing:
        given = replace(data, given=run.kept("vectors", lambda: {"vectors": _vectors(config, data, run)}))
    if config.pretrain == "vectors":
        return given
    cuttings = pieces(documents.both, missing, config.seed)
    linear = run.kept("linear", lambda: _linear(data, cuttings))
    if missing:
        given = _with(given, cuttings, scores.mixed([linear["pieces"]], np.ones(1)), config)
    taught = given
    for turn in range(1, config.rounds + 1 if documents.unlabelled else 1):

        def opinion(turn: int = turn, taught: Data = taught) -> Arrays:
            return {"target": _opinion(data, cast(Reader, fit(config, taught, run.part(f"teacher-{turn}"))), linear)}

        taught = _with(given, documents.unlabelled, run.kept(f"taught-{turn}", opinion)["target"], config)
    return taught


def _with(data: Data, documents: list[NDArray[np.int32]], targets: NDArray[np.floating], config: Config) -> Data:
    """`data` with more rows to train on."""
    more = training_rows(documents, targets, config.limit, config.head)
    return replace(data, train={key: np.concatenate([array, more[key]]) for key, array in data.train.items()})


def _vectors(config: Config, data: Data, run: Keeper) -> NDArray[np.float32]:
    documents: Documents = data.unlabelled
    recipe = vectors.Recipe(size=config.size, seed=config.seed)
    numbers = vectors.spread(documents.both, recipe)
    with run.bar("word vectors", recipe.epochs * len(numbers)) as advance:
        return vectors.train(numbers, data.shape["words"], recipe, advance)


def _linear(data: Data, cuttings: list[NDArray[np.int32]]) -> Arrays:
    """The n-gram model's scores (rows, labels) of the validation rows, of those without a label, and of the pieces."""
    documents: Documents = data.unlabelled
    model = ngrams.fit(documents.labelled, data.train["target"].argmax(1), data.shape["classes"])
    asked = {"validation": _whole(data.validation, data), "unlabelled": documents.unlabelled, "pieces": cuttings}
    return {name: model.scores(rows) for name, rows in asked.items() if rows}


def _whole(split: Arrays, data: Data) -> list[NDArray[np.int32]]:
    """A raw split in the vocabulary's numbers, not cut."""
    tokenizer = replace(Tokenizer.load(data.files[text.FILE]), limit=1 << 30)
    return [tokenizer.encode(one).ids for one in split["text"]]


def _opinion(data: Data, reader: Reader, linear: Arrays) -> NDArray[np.float32]:
    """What a reader and the n-gram model think together of the texts without a label: (rows, labels) shares.

    Their scores are added with the weights that suit the validation rows (a product of experts, Hinton 2002): one knows what
    words mean and the other which runs of words there are, so they err on different texts. To learn from such answers is
    self-training (Scudder 1965) and distillation (Hinton et al. 2015).
    """
    documents: Documents = data.unlabelled
    known, tokenizer = rows(data.validation, data.files), Tokenizer.load(data.files[text.FILE])
    unlabelled = shortened(documents.unlabelled, tokenizer.limit, tokenizer.head)
    weights = scores.mixture(known["label"], [log_shares(reader, known["tokens"]), linear["validation"]])
    return scores.mixed([log_shares(reader, unlabelled), linear["unlabelled"]], weights).astype(np.float32)


def network(config: Config, data: Data) -> nn.Module:
    """A reader, with the word vectors that `pretrain` gave."""
    reader = _reader(config, data.shape["words"], data.shape["classes"])
    if "vectors" in data.given:
        reader.start_from(torch.from_numpy(data.given["vectors"]))
    return reader


def _reader(config: Config, words: int, classes: int) -> Reader:
    return Reader(
        Plan(
            words=words,
            classes=classes,
            size=config.size,
            cell=config.cell,
            units=config.units,
            layers=config.layers,
            bidirectional=config.bidirectional,
            conv=config.conv,
            pooled=config.readout == "pooled",
            dropout=config.dropout,
        )
    )


def sample(config: Config) -> tuple[nn.Module, Tensor]:
    """A reader of the public data's size, and a text of the longest length."""
    return _reader(config, text.FIRST_WORD + config.vocabulary, 2), torch.ones(1, config.limit, dtype=torch.int64)


def step(network: nn.Module, batch: Batch, config: Config) -> Tensor:
    """Cross-entropy of each row, words left out and their vectors moved where wanted."""
    tokens, target = batch["tokens"], batch["target"]
    if config.word_dropout:
        dropped = (torch.rand(tokens.shape, device=tokens.device) < config.word_dropout) & (tokens != PADDING)
        tokens = torch.where(dropped, UNKNOWN, tokens)
    losses: Tensor = network(tokens, target, config.adversarial)
    return losses


def export(network: nn.Module, data: Data, config: Config) -> Export:
    """The reader behind its 8-bit word vectors and in front of its softmax, calibrated on the validation rows."""
    reader = cast(Reader, network)
    checked = rows(data.validation, data.files)
    logits = log_shares(reader, checked["tokens"])
    return Export(
        module=Deployed(reader, scores.temperature(checked["label"], logits)),
        inputs={"tokens": torch.ones(2, 9, dtype=torch.int32)},
        outputs=("probabilities", "contributions"),
        axes={"tokens": {1: "time"}},
        summary=f"Which of {len(data.labels)} labels a text has ({config.cell} network, {data.source.name})",
        limits={"time": config.limit},
    )


def evaluate(predict: Predict, rows: Arrays, labels: tuple[str, ...]) -> Scores:
    """Accuracy, log loss and calibration; precision and recall by label."""
    found = scores.classification(rows["label"], by_length(predict, rows["tokens"]), labels)
    length = (rows["tokens"] != PADDING).sum(1)
    return replace(found, arrays={**found.arrays, "length": length})


def baselines(data: Data) -> dict[str, dict[str, float]]:
    """What simpler things reach on the same test rows."""
    documents: Documents = data.unlabelled
    train, test = data.train["target"][: len(documents.labelled)].argmax(1), data.test["label"]
    model = ngrams.fit(documents.labelled, train, len(data.labels))
    answers = model.scores(_whole(data.test, data)).argmax(1)
    return {
        "commonest label": {"accuracy": float((test == np.bincount(train).argmax()).mean())},
        "linear model on 1-3-grams": {"accuracy": float((answers == test).mean())},
    }


def statistics(data: Data) -> dict[str, Any]:
    """Of the training rows, to compare what comes in with: deciles of length, unknown words, the share of each label."""
    labelled = len(data.unlabelled.labelled)
    length, target = data.train["length"][:labelled], data.train["target"][:labelled].argmax(1)
    shares = np.bincount(target, minlength=len(data.labels)) / labelled
    known = data.train["tokens"][:labelled]
    return {
        "token_deciles": np.quantile(length, np.linspace(0, 1, 11)).round(1).tolist(),
        "unknown_share": round(float((known == UNKNOWN).sum() / length.sum()), 5),
        "label_shares": dict(zip(data.labels, shares.round(5).tolist(), strict=True)),
    }


def draw(found: Scores, rows: Arrays, labels: tuple[str, ...], folder: Path) -> list[Path]:
    """`confusion.png`, `reliability.png` and `lengths.png`."""
    probabilities = found.arrays["probabilities"]
    right = probabilities.argmax(1) == rows["label"]
    return [
        plots.confusion(found.arrays["confusion"], labels, folder / "confusion.png"),
        plots.reliability(probabilities.max(1), right, folder / "reliability.png"),
        plots.by_length(found.arrays["length"], right, folder / "lengths.png"),
    ]
