"""Pictures to labels: the room's data, networks, step, graph and scores."""

import hashlib
import json

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

from service.manifest import Source
from tests.training.conftest import idx_files
from training import export, scores, sources
from training.families import classifier
from training.families.classifier import SUITS, Config
from training.room import NO_SOURCE, Data, TrainingError
from training.sources import PublicData, PublicFile, Sources

SHAPES = [(28, 28, 1, 10), (32, 32, 3, 7), (64, 64, 3, 3)]
every_architecture = pytest.mark.parametrize("architecture", SUITS)


def built(architecture, shape=SHAPES[0], **options):
    torch.manual_seed(0)
    config = Config(architecture=architecture, **options)
    sizes = dict(zip(("height", "width", "channels", "classes"), shape, strict=True))
    return config, classifier.network(config, Data({}, {}, {}, NO_SOURCE, sizes))


def batch(rows, height, width, channels, classes):
    random = np.random.default_rng(0)
    return {
        "image": random.integers(0, 256, (rows, height, width, channels), np.uint8),
        "label": np.arange(rows, dtype=np.int64) % classes,
    }


# Configuration


@every_architecture
def test_what_suits_the_architecture_is_taken_where_nothing_is_given(architecture):
    config = Config(architecture=architecture)
    assert {field: getattr(config, field) for field in SUITS[architecture]} == SUITS[architecture]
    given = Config(architecture=architecture, learning_rate=0.5, dropout=0.0)
    assert (given.learning_rate, given.dropout) == (0.5, 0.0)


@pytest.mark.parametrize(
    "given",
    [{"image_size": 17}, {"image_size": 5000}, {"test_share": 0.9}, {"dropout": 2}, {"width": 0}, {"label_smoothing": -1}],
)
def test_a_field_out_of_bounds_is_refused_by_its_option(given):
    (field,) = given
    with pytest.raises(TrainingError, match=f"^--{field.replace('_', '-')} is "):
        Config(**given)


# Data


@pytest.fixture
def public(mnist, tmp_path, monkeypatch) -> Sources:
    """The slice of MNIST as if it were all of it."""
    files = []
    for name, data in idx_files(mnist).items():
        (tmp_path / name).write_bytes(data)
        files.append(PublicFile(name, "", hashlib.md5(sources.gzip.decompress(data), usedforsecurity=False).hexdigest()))
    monkeypatch.setitem(sources.PUBLIC, "mnist", PublicData((), tuple(files)))
    return Sources(None, tmp_path, None, Console(quiet=True))


def test_mnists_own_test_rows_are_held_out_as_they_stand(public, mnist):
    found = classifier.data(Config(), public)
    assert np.array_equal(found.test["image"][..., 0], mnist["test_images"])
    assert np.array_equal(found.test["label"], mnist["test_labels"])
    assert found.source.rows == {"train": 380, "validation": 20, "test": 100}
    assert (found.source.name, found.labels, found.preparation["mode"]) == ("MNIST", tuple("0123456789"), "digit")


def test_validation_rows_are_mnists_last_training_rows_whose_writers_wrote_no_others(public, mnist):
    found = classifier.data(Config(validation_share=0.1), public)
    assert np.array_equal(found.train["image"][..., 0], mnist["train_images"][:-40])
    assert np.array_equal(found.validation["image"][..., 0], mnist["train_images"][-40:])
    assert np.array_equal(found.validation["label"], mnist["train_labels"][-40:])


@pytest.mark.parametrize("given", [{"image_size": 32}, {"channels": 3}])
def test_mnist_cannot_be_had_in_another_size(public, given):
    with pytest.raises(TrainingError, match="MNIST's pictures are 28 x 28 gray"):
        classifier.data(Config(**given), public)


def test_ones_own_pictures_are_64_pixels_in_colour_where_nothing_is_said(pictures):
    found = classifier.data(Config(), Sources(pictures, None, None, Console(quiet=True)))
    assert found.train["image"].shape == (320, 64, 64, 3)
    assert found.preparation == {"mode": "plain", "height": 64, "width": 64, "channels": 3}
    assert dict(found.shape) == {"height": 64, "width": 64, "channels": 3, "classes": 10}


def test_ones_own_pictures_are_shared_out(data):
    assert [len(part["label"]) for part in (data.train, data.validation, data.test)] == [320, 20, 60]
    assert np.bincount(data.test["label"]).tolist() == [6] * 10


# Networks and steps


@every_architecture
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_step_has_a_finite_loss_and_moves_every_weight(architecture, shape):
    config, network = built(architecture, shape)
    losses = classifier.step(network.train(), {key: torch.from_numpy(rows) for key, rows in batch(9, *shape).items()}, config)
    losses.mean().backward()
    assert losses.shape == (9,)
    assert losses.isfinite().all()
    for name, weight in network.named_parameters():
        assert weight.grad.isfinite().all(), name
        assert weight.grad.abs().sum() > 0, name


@every_architecture
def test_steps_learn(architecture, data):
    config, network = built(architecture, augment=False)
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    rows = {key: torch.from_numpy(array[:32]) for key, array in data.train.items()}
    losses = []
    for _ in range(12):
        optimizer.zero_grad()
        losses.append(classifier.step(network.train(), rows, config).mean())
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < 0.8 * losses[0]


# Augmentation


def augmented(pixels, flip=False, seed=0):
    torch.manual_seed(seed)
    return classifier._augmented(pixels, flip=flip)


@pytest.mark.parametrize("shape", [(5, 1, 28, 28), (5, 3, 64, 64), (1, 3, 20, 36)], ids=str)
def test_augmentation_keeps_shape_and_range(shape):
    pixels = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    moved = augmented(pixels)
    assert moved.shape == pixels.shape
    assert 0 <= moved.min() <= moved.max() <= 1


def test_augmentation_moves_each_picture_in_its_own_way_by_seed():
    pixels = torch.zeros(2, 1, 28, 28)
    pixels[:, :, 8:20, 12:16] = 1
    one = augmented(pixels)
    assert not torch.equal(one[0], one[1])
    assert torch.equal(one, augmented(pixels))
    assert not torch.equal(one, augmented(pixels, seed=1))


def test_augmentation_leaves_a_digit_in_its_place():
    pixels = torch.zeros(200, 1, 28, 28)
    pixels[:, :, 10:18, 10:18] = 1
    assert augmented(pixels)[:, :, 12:16, 12:16].mean() > 0.9


@pytest.mark.parametrize("flip", [True, False])
def test_flip_mirrors_half_of_the_pictures_and_only_where_wanted(flip):
    pixels = torch.zeros(400, 1, 28, 28)
    pixels[..., :8] = 1
    right = augmented(pixels, flip=flip)[..., 14:].mean((1, 2, 3)) > 0.1
    assert right.float().mean().item() == pytest.approx(0.5 if flip else 0, abs=0.1)


@pytest.mark.parametrize("augment", [True, False])
def test_a_step_augments_only_where_wanted(data, augment):
    config, network = built("dense", augment=augment, dropout=0.0)
    rows = {key: torch.from_numpy(array[:16]) for key, array in data.train.items()}
    one, again = (classifier.step(network, rows, config) for _ in range(2))
    assert torch.equal(one, again) != augment


def test_evaluation_is_not_augmented(data):
    answers = []
    for augment in (True, False):
        config, network = built("book", augment=augment)
        module = classifier.export(network.eval(), data, config).module.eval()
        answers.append(module(torch.from_numpy(data.test["image"])).detach())
    assert torch.equal(*answers)


# The graph


@every_architecture
@pytest.mark.parametrize("shape", SHAPES[1:], ids=str)
def test_other_sizes_depths_and_numbers_of_classes_are_exported(architecture, shape):
    config, network = built(architecture, shape)
    split, labels = batch(12, *shape), tuple("abcdefghij"[: shape[3]])
    sizes = dict(zip(("height", "width", "channels", "classes"), shape, strict=True))
    source = Source(name="made", size_bytes=0, sha256="0" * 64, rows={})
    wanted = classifier.export(network.eval(), Data(split, split, split, source, sizes, labels), config)
    found = export.export(wanted, split)
    answers = export.open_graph(found.graph)({"image": split["image"]})["probabilities"]
    assert found.parity <= 1e-5
    assert answers.shape == (12, shape[3])
    assert np.allclose(answers.sum(1), 1, atol=1e-6)
    assert wanted.limits == {"height": shape[0], "width": shape[1], "channels": shape[2]}


def test_the_graphs_input_is_raw_pixels(data):
    _, network = built("dense")
    module = classifier.Deployed(network.eval(), 2.0)
    image = torch.from_numpy(data.test["image"])
    assert image.dtype == torch.uint8
    by_hand = (network(image.permute(0, 3, 1, 2) / 255) / 2).softmax(1)
    assert torch.allclose(module(image), by_hand, atol=1e-6)


def test_the_temperature_is_the_validation_rows_best(data):
    config, network = built("dense")
    with torch.no_grad():
        network[-1].weight *= 50  # far too sure of itself
    module = classifier.export(network.eval(), data, config).module
    image, truth = torch.from_numpy(data.validation["image"]), data.validation["label"]
    chosen, plain = (
        scores.log_loss(truth, classifier.Deployed(network, t)(image).detach().numpy()) for t in (module.temperature, 1.0)
    )
    assert chosen < plain


# Scores


def test_scores_are_those_of_the_answers():
    truth = np.array([0, 0, 1, 1])
    answers = np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7], [0.4, 0.6]], np.float32)
    image = np.zeros((4, 28, 28, 1), np.uint8)
    found = classifier.evaluate(lambda arrays: {"probabilities": answers}, {"image": image, "label": truth}, ("no", "yes"))
    assert found.values["accuracy"] == 0.75
    assert found.values["macro_recall"] == pytest.approx((0.5 + 1) / 2)
    assert found.values["macro_precision"] == pytest.approx((1 + 2 / 3) / 2)
    assert found.tables["labels"][1] == {"label": "yes", "precision": pytest.approx(2 / 3), "recall": 1.0, "rows": 2}
    assert found.arrays["confusion"].tolist() == [[1, 1], [0, 2]]


def test_the_gates_score_is_one_of_the_scores(data):
    uniform = classifier.evaluate(lambda arrays: {"probabilities": np.full((60, 10), 0.1)}, data.test, data.labels)
    assert uniform.values[classifier.gate] == 0.1


def test_baselines_are_chance_and_a_line(data):
    found = classifier.baselines(data)
    assert found["commonest label"]["accuracy"] == 0.1
    assert 0.5 < found["linear model"]["accuracy"] < 0.95


def test_statistics_are_of_the_training_rows_and_fit_into_json(data):
    found = json.loads(json.dumps(classifier.statistics(data)))
    deciles = found["mean_pixel_deciles"]
    assert len(deciles) == 11
    assert deciles == sorted(deciles)
    assert 0 <= deciles[0] <= deciles[-1] <= 255
    assert found["label_shares"] == dict.fromkeys("0123456789", 0.1)


@pytest.mark.parametrize("wrong", [0, 1, 60])
def test_pictures_of_an_evaluation_are_drawn_whatever_went_wrong(data, tmp_path, wrong):
    answers = np.eye(10)[data.test["label"]]
    answers[:wrong] = np.roll(answers[:wrong], 1, axis=1)
    found = classifier.evaluate(lambda arrays: {"probabilities": answers}, data.test, data.labels)
    paths = classifier.draw(found, data.test, data.labels, tmp_path)
    assert [path.name for path in paths] == ["confusion.png", "mistakes.png"]
    for path in paths:
        with Image.open(path) as picture:
            picture.load()
            assert min(picture.size) > 100
