"""Pictures to codes and back: the room's data, its kinds, its graphs and scores, the whole command."""

import base64
import io
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from sklearn.decomposition import PCA

from service.manifest import Manifest
from service.samples import SEVEN_PNG
from service.settings import Settings
from tests.conftest import serving
from training import export, loop, pipeline, reconstructions
from training.__main__ import main
from training.families import autoencoder
from training.families.autoencoder import SUITS, Config
from training.room import TrainingError
from training.run import Run
from training.sources import Sources

SIZES = {"image_size": 28, "channels": 1, "epochs": 3, "batch_size": 32, "precision": "float32"}
SMALL = {**SIZES, "width": 4, "code_size": 8, "hidden": (32,)}
QUICK = ["--image-size", "28", "--channels", "1", "--epochs", "3", "--batch-size", "32", "--precision", "float32"]
QUICK += ["--width", "4", "--code-size", "8"]


def config(kind, **changes):
    if kind == "variational":
        changes = {"encoder": "dense", **changes}  # its convolutions take long to export
    given = {**SMALL, "hidden": (), **changes} if kind in ("linear", "undercomplete", "sparse") else {**SMALL, **changes}
    return Config(kind=kind, **given)


def data_of(path, made):
    return autoencoder.data(made, Sources(path, None, None, Console(quiet=True)))


@pytest.fixture(scope="session")
def trained(pictures, tmp_path_factory):
    """(configuration, data, network) of a kind, trained once."""
    found = {}

    def of(kind, **changes):
        key = (kind, *sorted(changes.items()))
        if key not in found:
            made = config(kind, **changes)
            data = data_of(pictures, made)
            run = Run.begin(tmp_path_factory.mktemp("runs"), "x", {}, Console(quiet=True))
            found[key] = (made, data, loop.fit(autoencoder, made, data, run))
        return found[key]

    return of


def graph_of(made, data, network):
    return export.open_graph(export.export(autoencoder.export(network, data, made), pipeline.some(data.test)).graph)


def asked(data):
    """What the graph takes of the test rows."""
    return {name: array for name, array in pipeline.some(data.test).items() if name in ("image", "noise")}


def scored(made, data, network):
    """The scores of the network as its graph will be."""
    predict = loop.predict_with(autoencoder, network, data, made, torch.device("cpu"))
    return autoencoder.evaluate(predict, data.test, data.labels).values


@pytest.mark.parametrize("kind", SUITS)
def test_each_kind_learns(trained, kind):
    made, data, network = trained(kind)
    torch.manual_seed(1)
    assert scored(made, data, network)["psnr"] > scored(made, data, autoencoder.network(made, data))["psnr"] + 0.2


@pytest.mark.parametrize("kind", [pytest.param("stacked", marks=pytest.mark.slow), "variational"])
def test_the_decoder_makes_of_a_code_what_the_whole_graph_made(trained, kind):
    made, data, network = trained(kind)
    wanted = autoencoder.export(network, data, made)
    whole = graph_of(made, data, network)(asked(data))
    decoder = export.open_graph(export.export(wanted.more["decoder"], wanted.more["decoder"].rows, "decoder.onnx").graph)
    np.testing.assert_allclose(decoder({"code": whole["code"]})["picture"], whole["reconstruction"], atol=0.01)


@pytest.mark.slow
@pytest.mark.skipif("MODELYARD_DATA_DIR" not in os.environ, reason="MODELYARD_DATA_DIR names no folder of public data")
def test_a_linear_one_finds_the_principal_components_of_mnist(tmp_path):
    made = Config(kind="linear")
    data = autoencoder.data(made, Sources(None, Path(os.environ["MODELYARD_DATA_DIR"]), None, Console(quiet=True)))
    network = loop.fit(autoencoder, made, data, Run.begin(tmp_path, "x", {}, Console(quiet=True)))
    values = scored(made, data, network)
    beside = autoencoder.baselines(data)["30 principal components"]
    assert values["mse"] / beside["mse"] <= 1.005
    found = PCA(30).fit(reconstructions.floats(data.train["image"]).reshape(len(data.train["image"]), -1))
    ours = np.linalg.qr(network.decoder[0].weight.detach().numpy())[0]
    cosines = np.linalg.svd(ours.T @ found.components_.T)[1]
    assert np.degrees(np.arccos(min(1, cosines.min()))) <= 2


def test_a_denoising_one_is_scored_on_noisy_pictures_beside_simpler_ways(trained):
    made, data, network = trained("denoising")
    values = scored(made, data, network)
    assert {"psnr_0.3", "ssim_0.3", "psnr_0.5", "ssim_0.5"} <= set(values)
    assert values["psnr"] == values["psnr_0.5"]
    beside = autoencoder.baselines(data)
    assert set(beside) - {"BM3D"} == {"as it is", "median of 3 x 3", "non-local means", "linear optimum"}
    assert values["psnr_0.5"] > beside["as it is"]["psnr_0.5"]


@pytest.mark.parametrize(
    ("kind", "encoder", "decodes"),
    [("denoising", "unet", False), ("denoising", "dense", True), ("stacked", "convolutional", True)],
)
def test_only_what_does_not_lead_past_its_code_has_a_decoder(pictures, kind, encoder, decodes):
    made = config(kind, encoder=encoder)
    data = data_of(pictures, made)
    assert ("decoder" in autoencoder.export(autoencoder.network(made, data), data, made).more) == decodes


@pytest.mark.parametrize("kind", [pytest.param("stacked", marks=pytest.mark.slow), "variational"])
def test_a_convolutional_code_has_its_size(trained, kind):
    made, data, network = trained(kind, encoder="convolutional")
    assert graph_of(made, data, network)(asked(data))["code"].shape[1] == 8


def test_a_variational_one_has_bounds_of_its_likelihood(trained):
    values = scored(*trained("variational"))
    assert values["bound_200"] > values["elbo_binary"]
    assert values["divergence_binary"] > 0


def test_units_of_a_sparse_one_are_less_often_active_where_that_costs_more(trained):
    free, dear = (scored(*trained("sparse", penalty=penalty, epochs=8))["active_units"] for penalty in (0.0, 5.0))
    assert dear < free - 0.05


def test_a_random_picture_is_made_again_worse_than_digits(trained):
    made, data, network = trained("stacked", epochs=20)
    wanted = autoencoder.export(network, data, made)
    percentiles = wanted.statistics()["error_percentiles"]
    assert percentiles == sorted(percentiles)
    assert len(percentiles) == 101
    graph = graph_of(made, data, network)
    noise = np.random.default_rng(0).integers(0, 256, (8, 28, 28, 1)).astype(np.uint8)
    assert graph({"image": noise})["error"].min() > percentiles[100]
    assert np.median(graph({"image": data.test["image"]})["error"]) < percentiles[95]


def test_norms_settle_on_noisy_pictures_and_on_two_tones(pictures):
    denoising, variational = config("denoising"), config("variational", binarised=True)
    for made in (denoising, variational):
        data = data_of(pictures, made)
        wanted = autoencoder.export(autoencoder.network(made, data), data, made)
        served, again = wanted.served(), wanted.served()
        assert set(served) == set(wanted.inputs)
        assert served["image"].shape == data.train["image"].shape
        assert all(np.array_equal(served[name], again[name]) for name in served)
        apart = np.abs(served["image"].astype(float) - data.train["image"]).mean((1, 2, 3))
        if made is denoising:
            assert apart.max() > 20
        else:
            assert set(np.unique(served["image"])) == {0, 255}


def test_the_seed_decides(pictures, tmp_path):
    made = config("variational", epochs=1)
    data = data_of(pictures, made)
    nets = [loop.fit(autoencoder, made, data, Run.begin(tmp_path, "x", {}, Console(quiet=True))) for _ in range(2)]
    for one, again in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
        assert torch.equal(one, again)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"kind": "stacked", "encoder": "unet"}, "--encoder is 'unet', which leads past the code"),
        ({"code_size": 0}, "--code-size is 0"),
        ({"noise_level": 2.0}, "--noise-level is 2.0"),
        ({"activity": 0.0}, "--activity is 0.0"),
    ],
)
def test_what_cannot_be_is_named(given, told):
    with pytest.raises(TrainingError, match=told):
        Config(**given)


def test_the_public_models_are_named_after_what_they_do():
    names = {kind: Config(kind=kind).name for kind in SUITS}
    assert (names["stacked"], names["denoising"], names["variational"]) == ("codes", "denoiser", "generator")


@pytest.mark.anyio
async def test_a_kind_is_trained_published_and_served(place, pictures):
    assert main(["train", "autoencoder", "--kind", "denoising", "--data", str(pictures), "--name", "denoiser", *QUICK]) == 0
    async with serving(Settings(models_dir=place.models, reload_s=0.05, drain_delay_s=0)) as client:
        assert (await client.post("/v1/denoise", content=SEVEN_PNG, headers={"content-type": "image/png"})).status_code == 200


@pytest.mark.slow
@pytest.mark.anyio
async def test_three_kinds_are_trained_published_and_served_each_for_its_verbs(place, pictures):
    for kind, name in (("stacked", "codes"), ("denoising", "denoiser"), ("variational", "generator")):
        assert main(["train", "autoencoder", "--kind", kind, "--data", str(pictures), "--name", name, *QUICK]) == 0
        assert Manifest.read(place.models / name / "1").family == "autoencoder"
    assert main(["evaluate", "codes", "--data", str(pictures)]) == 0
    picture = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (28, 28)).astype(np.uint8)).save(picture, "PNG")
    settings = Settings(models_dir=place.models, reload_s=0.05, drain_delay_s=0)
    async with serving(settings) as client:
        png = {"content": picture.getvalue(), "headers": {"content-type": "image/png", "accept": "image/png"}}
        clean = await client.post("/v1/denoise", **png)
        assert (clean.status_code, clean.headers["content-type"], clean.headers["x-model"]) == (200, "image/png", "denoiser:1")
        assert Image.open(io.BytesIO(clean.content)).size == (28, 28)
        generated = (await client.post("/v1/generate", json={"count": 3, "seed": 5})).json()
        assert generated["model"] == "generator"
        assert all(Image.open(io.BytesIO(base64.b64decode(one["image"]))).size == (28, 28) for one in generated["predictions"])
        (coded,) = (await client.post("/v1/encode?model=codes", **{**png, "headers": {"content-type": "image/png"}})).json()[
            "predictions"
        ]
        assert len(coded["code"]) == 8
        assert coded["percentile"] > 99
        walked = await client.post("/v1/decode?model=codes", json={"codes": [coded["code"]]})
        assert walked.status_code == 200
