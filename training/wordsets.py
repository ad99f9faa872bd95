"""What word vectors are asked in an evaluation: pairs that people judged, analogies, words beside each other in a text.

WordSim-353 (Finkelstein et al. 2002) and SimLex-999 (Hill et al. 2015), by Spearman's rank correlation over the pairs that are
known; the analogies of Mikolov et al. 2013 by 3CosAdd among the commonest words; and how often a word's neighbour in a text is
nearer to it than a word drawn at random, which needs nothing but the text. Knows words and graphs that answer; no network.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr
from sklearn.feature_extraction.text import TfidfVectorizer

from service.golden import Arrays
from service.vocabulary import FIRST, PADDING, Vocabulary
from training.room import Predict, Scores, Sources, TrainingError

CONTEXT = "context"
PAIRS = {"wordsim353": "wordsim353.tsv", "simlex999": "simlex999.txt"}
ANALOGIES = "questions-words.txt"
AMONG = 30_000
"""Of the commonest words: those among which an analogy's answer is looked for, as its other words must be."""
FEWEST = 10
"""Pairs, or questions, that make a score."""
TERMS = 12
"""Words of a row at most."""
ASKED_AT_ONCE = 2_000


def public(origin: Sources) -> Arrays:
    """WordSim-353, SimLex-999 and the Google analogies as raw rows. Raises TrainingError."""
    files = {name: data.decode() for name, data in origin.public("wordsim").items()}
    rows: list[tuple[list[str], str, float, str]] = []
    try:
        for name, file in PAIRS.items():
            for line in files[file].splitlines():
                if line.strip() and not line.startswith("#"):
                    one, other, human = line.lower().split("\t")
                    rows.append(([one, other], "", float(human), name))
        section = ""
        for line in files[ANALOGIES].splitlines():
            if line.startswith(":"):
                section = line[1:].strip()
            elif line.strip():
                first, second, third, answer = line.lower().split()
                rows.append(([second, third, first], answer, 0.0, section))
    except ValueError as error:
        raise TrainingError(f"The word sets cannot be read: {error}.") from error
    return _raw(rows)


def _raw(rows: Sequence[tuple[list[str], str, float, str]]) -> Arrays:
    """Of (terms, answer, what people said, set) each."""
    return {
        "terms": np.array([row[0] + [""] * (TERMS - len(row[0])) for row in rows], object).reshape(-1, TERMS),
        "answer": np.array([row[1] for row in rows], object),
        "human": np.array([row[2] for row in rows], np.float32),
        "set": np.array([row[3] for row in rows], object),
    }


@dataclass(frozen=True)
class Beside:
    """How words beside each other are drawn from texts."""

    window: int
    keep: float
    """Share above which a word is left out at random, as in training."""
    most: int
    seed: int


def beside(documents: Sequence[NDArray[np.int32]], known: Vocabulary, how: Beside) -> Arrays:
    """Raw rows: a word, one drawn at random (by its count to the power 3/4, as in training), and the words around the first.

    Of a table's values, the one at random is of the same column.
    """
    random = np.random.default_rng(how.seed)
    counts = np.array([0, *known.counts], np.float64)
    share = np.maximum(counts / counts.sum(), 1e-12)
    kept = np.sqrt(how.keep / share) + how.keep / share
    draw = _Drawn(known)
    terms: list[list[str]] = []
    for at in random.permutation(len(documents)).repeat(max(1, -(-how.most // max(1, len(documents))))):
        whole = documents[int(at)]
        document = whole[random.random(len(whole)) < kept[whole]]
        if len(document) < 2 or len(terms) == how.most:
            continue
        place = int(random.integers(len(document)))
        one = int(document[place])
        drawn = draw(one, float(random.random()))
        around = [*document[max(0, place - how.window) : place], *document[place + 1 : place + 1 + how.window]]
        others = [int(number) for number in around if number not in (one, drawn)][: TERMS - 2]  # nothing is nearer than itself
        if drawn != one and others:
            terms.append([known.word(number) for number in (one, drawn, *others)])
    return _raw([(row, "", 0.0, CONTEXT) for row in terms])


class _Drawn:
    """Draws words by their count to the power 3/4, of a table those of one column."""

    def __init__(self, known: Vocabulary) -> None:
        self._column = columns(known) if known.columns else np.zeros(known.size, np.int64)
        weights = np.array([0, *known.counts], np.float64) ** 0.75
        self._among = {column: np.flatnonzero(self._column == column) for column in range(max(1, len(known.columns)))}
        self._sums = {column: np.cumsum(weights[among]) for column, among in self._among.items()}

    def __call__(self, like: int, share: float) -> int:
        """A word of the column of `like`; `share` from 0 to 1 says which."""
        column = int(self._column[like])
        sums = self._sums[column]
        return int(self._among[column][np.searchsorted(sums, share * sums[-1], side="right")])


def columns(known: Vocabulary) -> NDArray[np.int64]:
    """(numbers,) which column each value stands in; -1 for padding."""
    return np.array([-1, *(known.column(number) for number in range(FIRST, known.size))] if known.columns else [])


def together(parts: Sequence[Arrays]) -> Arrays:
    """Raw rows after each other."""
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def numbered(raw: Arrays, known: Vocabulary) -> Arrays:
    """Raw rows as a graph takes them: `words` and `weights`; `known` where every word has a number; `answer` in numbers."""
    words = np.array([[known.find(term) or PADDING if term else PADDING for term in row] for row in raw["terms"]], np.int32)
    words = words.reshape(-1, TERMS)
    analogy = raw["answer"] != ""
    answer = np.array([known.find(one) or PADDING if one else PADDING for one in raw["answer"]], np.int32)
    weights = np.zeros(words.shape, np.float32)
    weights[:, 0] = 1
    weights[analogy, 1:3] = 1, -1
    weights[raw["set"] == CONTEXT] = [0, 0, *[1] * (TERMS - 2)]
    needed = raw["terms"] != ""
    among = np.where(analogy, AMONG, known.size)
    inside = ((words != PADDING) & (words <= among[:, np.newaxis]) | ~needed).all(1)
    return {
        "words": words,
        "weights": weights * (words != PADDING),
        "answer": answer,
        "human": raw["human"],
        "set": raw["set"],
        "known": inside & (~analogy | (answer != PADDING) & (answer <= AMONG)),
    }


def evaluate(predict: Predict, rows: Arrays) -> Scores:
    """Scores of anything that answers like the graph; of a set of which too little is known, none but what is covered."""
    sets, known = rows["set"], rows["known"]
    values: dict[str, float] = {"context_auc": _context(predict, _part(rows, (sets == CONTEXT) & known))}
    for name in PAIRS:
        if (asked := sets == name).any():
            part = _part(rows, asked & known)
            values[f"{name}_covered"] = float(known[asked].mean())
            if len(part["words"]) >= FEWEST:
                vectors = _vectors(predict, part["words"][:, :2])
                cosines = (vectors[:, 0] * vectors[:, 1]).sum(1)
                values[name] = float(spearmanr(cosines, part["human"])[0])
    asked = ~np.isin(sets, (CONTEXT, *PAIRS))
    tables = {}
    if asked.any():
        values["analogies_covered"] = float(known[asked].mean())
        part = _part(rows, asked & known)
        if len(part["words"]) >= FEWEST:
            right = _answers(predict, part) == part["answer"]
            grammar = np.char.startswith(part["set"].astype(str), "gram")
            values["analogies"] = float(right.mean())
            values |= {
                name: float(right[which].mean())
                for name, which in (("semantic", ~grammar), ("syntactic", grammar))
                if which.any()
            }
            tables["analogies by section"] = [
                {
                    "section": name,
                    "questions": int((sets == name).sum()),
                    "covered": float(known[sets == name].mean()),
                    "accuracy": float(right[part["set"] == name].mean()) if (part["set"] == name).any() else None,
                }
                for name in dict.fromkeys(sets[asked])
            ]
    return Scores(values, tables)


def _part(rows: Arrays, which: NDArray[np.bool_]) -> Arrays:
    return {name: rows[name][which] for name in ("words", "weights", "answer", "human", "set")}


def _context(predict: Predict, part: Arrays) -> float:
    """How often a word lies nearer to the sum of the words around it than the word drawn at random does."""
    if not len(part["words"]):
        return 0.5
    vectors = _vectors(predict, part["words"])
    around = (vectors[:, 2:] * part["weights"][:, 2:, np.newaxis]).sum(1)  # of the same length for both
    return auc((vectors[:, 0] * around).sum(1), (vectors[:, 1] * around).sum(1))


def auc(near: NDArray[np.floating], drawn: NDArray[np.floating]) -> float:
    """How often the first is larger than the second, ties by half."""
    return float((near > drawn).mean() + 0.5 * (near == drawn).mean())


def _vectors(predict: Predict, words: NDArray[np.int32]) -> NDArray[np.float64]:
    """(rows, terms, size)"""
    parts = [words[start : start + ASKED_AT_ONCE] for start in range(0, len(words), ASKED_AT_ONCE)]
    answers = [predict({"words": part, "weights": (part != PADDING).astype(np.float32)}) for part in parts]
    return np.concatenate([answer["vectors"] for answer in answers]).astype(np.float64)


def _answers(predict: Predict, part: Arrays) -> NDArray[np.int32]:
    """Of each question the nearest of the commonest words."""
    found = np.full(len(part["words"]), PADDING, np.int32)
    for start in range(0, len(found), ASKED_AT_ONCE):
        rows = slice(start, start + ASKED_AT_ONCE)
        nearest = predict({"words": part["words"][rows], "weights": part["weights"][rows]})["neighbors"]
        common = nearest <= AMONG
        first = nearest[np.arange(len(nearest)), common.argmax(1)]
        found[rows] = np.where(common.any(1), first, PADDING)
    return found


def by_spelling(raw: Arrays) -> dict[str, float]:
    """What the same rows give where words are as near as their spellings: runs of one to three letters, TF-IDF, cosine."""
    pairs = raw["answer"] == ""
    terms, human, sets = raw["terms"][pairs], raw["human"][pairs], raw["set"][pairs]
    runs = TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 3), lowercase=False).fit(np.unique(terms[terms != ""]))
    first, second, third = runs.transform(terms[:, 0]), runs.transform(terms[:, 1]), runs.transform(_said(terms[:, 2:]))
    found = {}
    if (around := sets == CONTEXT).any():
        near, drawn = (np.asarray(one.multiply(third).sum(1)).ravel()[around] for one in (first, second))
        found["context_auc"] = auc(near, drawn)
    cosines = np.asarray(first.multiply(second).sum(1)).ravel()
    return found | {
        name: float(spearmanr(cosines[sets == name], human[sets == name])[0]) for name in PAIRS if (sets == name).any()
    }


def _said(terms: NDArray[np.object_]) -> list[str]:
    return [" ".join(row) for row in terms]
