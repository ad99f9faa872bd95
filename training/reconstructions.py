"""How good pictures are that were made again: errors, PSNR, SSIM, bounds of a likelihood, what codes tell, simpler ways.

Pictures are float arrays (rows, height, width, channels) in 0..1. Knows arrays and graphs that
answer; knows neither networks nor families.
"""

from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter
from scipy.special import logsumexp
from skimage.metrics import structural_similarity
from skimage.restoration import denoise_nl_means
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from service.golden import Arrays
from training.room import Predict, Scores

Pictures = NDArray[np.floating]
Floats = NDArray[np.floating]
Element = TypeVar("Element", bound=np.generic)
LEAST_ERROR = 1e-10
SURE = 1e-6
"""How far a made pixel stays from 0 and 1 where it is a probability."""
NEIGHBOURS = 5
JUDGED = 1_000
"""Pictures that slow simpler ways, and the importance-weighted bound, are scored on."""
MOST_SOLVED = 4_096
"""Pixels of a picture up to which equations of all of them are solved."""
RIDGE = 1e-4
FEW_JUDGED = 100
"""Pictures that the slowest one, a quarter of a second each, is scored on."""
SAMPLES = 200
"""Of the importance-weighted bound (Burda et al. 2015)."""


def errors(truth: Pictures, made: Pictures) -> Floats:
    """(rows,) mean squared error of a pixel."""
    found: Floats = ((truth - made) ** 2).reshape(len(truth), -1).mean(1)
    return found


def psnr(truth: Pictures, made: Pictures) -> float:
    """Peak signal-to-noise ratio in dB: the mean over pictures of each one's own."""
    return float((-10 * np.log10(np.maximum(errors(truth, made), LEAST_ERROR))).mean())


def ssim(truth: Pictures, made: Pictures) -> float:
    """Structural similarity (Wang et al. 2004) in windows of 7 pixels: the mean over pictures."""
    pairs = zip(truth.astype(np.float64), made.astype(np.float64), strict=True)
    found = [structural_similarity(one, other, data_range=1.0, channel_axis=-1) for one, other in pairs]  # type: ignore[no-untyped-call]  # half of its types are there
    return float(np.mean(found))


def noisy(pictures: NDArray[np.uint8], level: float, seed: int) -> NDArray[np.uint8]:
    """Raw pictures with Gaussian noise of that standard deviation (1 is white), clipped and rounded as in a file."""
    noise = np.random.default_rng(seed).normal(0, 255 * level, pictures.shape)
    return np.clip(pictures + noise, 0, 255).round().astype(np.uint8)


# simpler ways


def median(pictures: Pictures) -> Pictures:
    """Each pixel the median of 3 x 3."""
    found: Pictures = median_filter(pictures, size=(1, 3, 3, 1), mode="nearest")
    return found


def non_local_means(pictures: Pictures, level: float) -> Pictures:
    """Buades et al. 2005, its strength from the known noise."""
    how = {"patch_size": 5, "patch_distance": 6, "h": 0.8 * level, "sigma": level, "channel_axis": -1}
    return np.stack([denoise_nl_means(one, **how).reshape(one.shape) for one in pictures])


def bm3d(pictures: Pictures, level: float) -> Pictures:
    """Dabov et al. 2007, by its authors' package, whose licence leaves it to research: it is no dependency of ours."""
    method = import_module("bm3d").bm3d
    made = [method(one[..., 0] if one.shape[2] == 1 else one, level).reshape(one.shape) for one in pictures]
    found: Pictures = np.clip(np.stack(made), 0, 1)
    return found


def linear_optimum(clean: Pictures, spoilt: Pictures) -> Callable[[Pictures], Pictures]:
    """The best linear map with a constant from spoilt to clean pictures (Wiener 1949), fitted to these rows in closed form."""
    x, y = (part.reshape(len(part), -1) for part in (spoilt, clean))
    x_mean, y_mean = x.mean(0), y.mean(0)
    x, y = x - x_mean, y - y_mean
    covariance, shared = (x.T @ x / len(x)).astype(np.float64), (x.T @ y / len(x)).astype(np.float64)
    weights = np.linalg.solve(covariance + RIDGE * np.eye(len(covariance)), shared).astype(np.float32)

    def restore(pictures: Pictures) -> Pictures:
        flat = (pictures.reshape(len(pictures), -1) - x_mean) @ weights + y_mean
        found: Pictures = np.clip(flat, 0, 1).reshape(pictures.shape)
        return found

    return restore


def restored_otherwise(test: Arrays, levels: Sequence[float]) -> dict[str, dict[str, float]]:
    """PSNR and SSIM of simpler ways to take the noise away; slow ones on some of the pictures."""
    truth, found = floats(test["image"]), dict[str, dict[str, float]]()
    for level in levels:
        spoilt = floats(test[f"noisy_{level}"])
        few, fewer = ([_spread(part, count) for part in (truth, spoilt)] for count in (JUDGED, FEW_JUDGED))
        ways = {
            "as it is": (truth, spoilt),
            "median of 3 x 3": (truth, median(spoilt)),
            "non-local means": (few[0], non_local_means(few[1], level)),
        }
        if truth[0].size <= MOST_SOLVED:
            restore = linear_optimum(floats(test["train_image"]), floats(noisy(test["train_image"], level, 1)))
            ways["linear optimum"] = truth, restore(spoilt)
        if find_spec("bm3d"):
            ways["BM3D"] = fewer[0], bm3d(fewer[1], level)
        for way, (wanted, made) in ways.items():
            values = {"psnr": psnr(wanted, made), f"psnr_{level}": psnr(wanted, made), f"ssim_{level}": ssim(wanted, made)}
            found[way] = {**found.get(way, {}), **values}
    return found


def _spread(rows: NDArray[Element], most: int) -> NDArray[Element]:
    """At most so many rows from all over: MNIST's first test rows are the easier ones."""
    return rows[:: max(1, len(rows) // most)][:most]


def principal(test: Arrays, size: int) -> dict[str, float]:
    """The scores of as many principal components of the training pictures in `test`."""
    train, truth = floats(test["train_image"]), floats(test["image"])
    flat = [part.reshape(len(part), -1) for part in (train, truth)]
    solver = "covariance_eigh" if flat[0].shape[1] <= MOST_SOLVED else "randomized"
    model = PCA(min(size, *flat[0].shape), svd_solver=solver, random_state=0).fit(flat[0])
    learnt, codes = (model.transform(part) for part in flat)
    made = model.inverse_transform(codes).reshape(truth.shape)
    values = {"psnr": psnr(truth, made), "mse": float(errors(truth, made).mean())}
    return values | told(learnt, test["train_label"], codes, test["label"])


# what codes tell


def neighbours(codes: Floats, labels: NDArray[np.int64], asked: Floats, truth: NDArray[np.int64]) -> float:
    """Accuracy of the five nearest codes' vote."""
    model = KNeighborsClassifier(NEIGHBOURS).fit(codes, labels)
    return float((model.predict(asked) == truth).mean())


def probe(codes: Floats, labels: NDArray[np.int64], asked: Floats, truth: NDArray[np.int64]) -> float:
    """Accuracy of a linear model on the codes."""
    scale = StandardScaler().fit(codes)
    model = LogisticRegression(max_iter=300).fit(scale.transform(codes), labels)
    return float((model.predict(scale.transform(asked)) == truth).mean())


# bounds of a likelihood, in nats a picture


def divergence(mean: Floats, deviation: Floats) -> Floats:
    """(rows,) of normal distributions (rows, code) from the standard one (Kullback and Leibler)."""
    found: Floats = 0.5 * (mean**2 + deviation**2 - 1 - 2 * np.log(deviation)).sum(1)
    return found


def bernoulli(pictures: Pictures, made: Pictures) -> Floats:
    """(rows,) log-likelihood of pictures (gray ones count by their shade) where each pixel is a coin with the made chance."""
    chance = np.clip(made.astype(np.float64), SURE, 1 - SURE)
    found: Floats = (pictures * np.log(chance) + (1 - pictures) * np.log1p(-chance)).reshape(len(pictures), -1).sum(1)
    return found


def weight(likelihood: Floats, code: Floats, noise: Floats, deviation: Floats) -> Floats:
    """(rows,) logarithm of p(picture, code) / q(code | picture), one sample of the importance-weighted bound."""
    found: Floats = likelihood - 0.5 * (code**2).sum(1) + (0.5 * noise**2 + np.log(deviation)).sum(1)
    return found


def importance_weighted(weights: Floats) -> Floats:
    """(rows,) the bound of Burda et al. 2015 from weights (samples, rows)."""
    found: Floats = logsumexp(weights, axis=0) - np.log(len(weights))
    return found


def told(learnt: Floats, labels: NDArray[np.int64], codes: Floats, truth: NDArray[np.int64]) -> dict[str, float]:
    """What the nearest codes and a linear model say of labels, where there are several."""
    if len(np.unique(labels)) < 2:
        return {}
    return {
        "neighbours": neighbours(learnt, labels, codes, truth),
        "probe": probe(learnt, labels, codes, truth),
    }


def restored(predict: Predict, rows: Arrays, levels: Sequence[float], *, alike: bool) -> Scores:
    """PSNR of noisy pictures made again, and SSIM where it is wanted (`alike`); `psnr` is that of the last level."""
    truth = floats(rows["image"])
    values: dict[str, float] = {}
    arrays: Arrays = {}
    for level in levels:
        made = predict({"image": rows[f"noisy_{level}"]})["reconstruction"]
        values[f"psnr_{level}"] = psnr(truth, made / 255)
        if alike:
            values[f"ssim_{level}"] = ssim(truth, made / 255)
        arrays["made"] = made
    clean = predict({"image": rows["image"]})["reconstruction"] / 255
    mse = float(errors(truth, clean).mean())
    return Scores({"psnr": values[f"psnr_{levels[-1]}"], "mse": mse, **values}, arrays=arrays)


def bounds(predict: Predict, rows: Arrays, *, tight: bool) -> dict[str, float]:
    """The evidence lower bound of gray pictures and of binarised ones (drawn anew from the shades), and the `tight` one."""
    random = np.random.default_rng(0)
    image = rows["image"]
    binary = np.where(random.random(image.shape) < image / 255, 255, 0).astype(np.uint8)
    found = {}
    for name, shown in (("gray", image), ("binary", binary)):
        mean = predict({"image": shown, "noise": np.zeros_like(rows["noise"])})["code"].astype(np.float64)
        deviation = predict({"image": shown, "noise": np.ones_like(rows["noise"])})["code"] - mean
        sampled = predict({"image": shown, "noise": rows["noise"]})
        likelihood = bernoulli(floats(shown), sampled["reconstruction"] / 255)
        apart = divergence(mean, deviation)
        found[f"elbo_{name}"] = float((likelihood - apart).mean())
        found[f"divergence_{name}"] = float(apart.mean())
    if not tight:
        return found
    some, deviation = _spread(binary, JUDGED), _spread(deviation, JUDGED)
    weights = []
    for _ in range(SAMPLES):
        noise = random.normal(size=deviation.shape).astype(np.float32)
        sampled = predict({"image": some, "noise": noise})
        likelihood = bernoulli(floats(some), sampled["reconstruction"] / 255)
        weights.append(weight(likelihood, sampled["code"].astype(np.float64), noise, deviation))
    found["bound_200"] = float(importance_weighted(np.stack(weights)).mean())
    return found


def floats(image: NDArray[np.uint8]) -> Pictures:
    """Raw pixels in 0..1."""
    return image.astype(np.float32) / 255
