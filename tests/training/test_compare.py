"""Variants beside each other."""

import dataclasses

import pytest
from rich.console import Console

from tests.training.conftest import SIZES
from training import compare
from training.__main__ import main
from training.families import classifier
from training.families.classifier import Config
from training.pipeline import Options

CONFIG = Config(image_size=28, channels=1, epochs=1, batch_size=64, precision="float32", validation_share=0.2)


def test_each_variant_is_trained_scored_and_timed_and_nothing_is_published(place, pictures):
    options = Options(name="x", data=pictures)
    only = ("dense", "book")
    found = compare.compare("classifier", classifier, CONFIG, options, Console(quiet=True), only)
    assert [one.variant for one in found] == ["book", "dense"]  # in the room's order
    assert [one.parameters for one in found] == [93_322, 535_818]
    assert all(0 <= one.scores["accuracy"] <= 1 and one.seconds_per_epoch > 0 and one.ms_per_row > 0 for one in found)
    assert not place.tree()


def test_a_variant_that_is_not_there_is_named_with_those_that_are(place, capsys):
    assert main(["compare", "classifier", "--only", "huge"]) == 1
    assert "There is no variant huge; there are residual, book, deep, dense" in capsys.readouterr().err


def test_the_command_prints_a_table(place, pictures, capsys):
    words = ["--only", "dense", "--data", str(pictures), "--name", "x", *SIZES, "--epochs", "1", "--no-augment"]
    assert main(["compare", "classifier", *words]) == 0
    lines = capsys.readouterr().out.splitlines()
    (head,) = [line for line in lines if line.startswith("variant")]
    assert head.split() == ["variant", "parameters", "accuracy", "seconds_per_epoch", "ms_per_row"]
    assert any(line.split()[:2] == ["dense", "535818"] for line in lines)


@pytest.mark.parametrize("variant", classifier.VARIANTS)
def test_a_variant_gets_what_suits_it(variant):
    config = dataclasses.replace(Config(), **classifier.VARIANTS[variant])
    assert config == Config(architecture=variant)
