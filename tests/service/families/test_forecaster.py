"""The room of series: its parts, and `POST /v1/forecast` over a model that repeats the last value."""

import json

import numpy as np
import pytest

from service.errors import InvalidInput
from service.families import forecaster
from service.manifest import Manifest
from service.series import Asked
from service.settings import Settings
from tests.conftest import serving, write_steps_version

pytestmark = pytest.mark.anyio


@pytest.fixture
def folder(tmp_path):
    return write_steps_version(tmp_path / "models")


@pytest.fixture
async def client(folder):
    async with serving(Settings(models_dir=folder.parent.parent, reload_s=0.05, max_points=1000)) as client:
        yield client


async def ask(client, body):
    answer = await client.post("/v1/forecast", json=body)
    assert answer.status_code == 200, answer.text
    (prediction,) = answer.json()["predictions"]
    return prediction


def assets(folder):
    return forecaster.assets(Manifest.read(folder), {}, Settings())


# Its parts


def test_a_column_stands_in_its_place_of_the_window(folder):
    asked = Asked(np.arange(10.0)[:, None], ("b",))
    item = forecaster.preprocess(asked, assets(folder))
    assert item.arrays["series"].dtype == np.float32
    assert item.arrays["series"][0, :, 1].tolist() == list(range(2, 10))
    assert not item.arrays["series"][0, :, 0].any()


@pytest.mark.parametrize("change", [{"columns": ["a"]}, {"context": 9}, {"horizon": 4}, {"quantiles": [0.5]}])
def test_a_preparation_that_does_not_fit_the_graph_is_refused(folder, change):
    manifest = Manifest.read(folder)
    changed = {**manifest.preparation, "target": "a", **change}
    with pytest.raises(ValueError, match="this family's are"):
        forecaster.assets(manifest.model_copy(update={"preparation": changed}), {}, Settings())


def test_a_network_that_mixes_columns_takes_no_part_of_them(tmp_path):
    mixing = assets(write_steps_version(tmp_path, independent=False))
    for asked in (Asked(np.ones((8, 1)), None, flat=True), Asked(np.ones((8, 1)), ("a",))):
        with pytest.raises(InvalidInput, match=r"has 1 columns; this model takes 2: a, b"):
            forecaster.preprocess(asked, mixing)
    assert forecaster.preprocess(Asked(np.ones((8, 2)), ("b", "a")), mixing).about.places == (1, 0)


async def test_a_network_that_mixes_columns_is_warmed_up_with_all_of_them(tmp_path):
    folder = write_steps_version(tmp_path / "models", independent=False)
    async with serving(Settings(models_dir=folder.parent.parent, reload_s=0.05)) as client:
        prediction = await ask(client, {"series": [[1, 2], [3, 4], [5, 6]]})
        assert prediction["mean"] == [[5, 6]] * 5


# Over HTTP


async def test_numbers_are_the_target_and_are_answered_as_numbers(client):
    found = await ask(client, {"series": [1, 2, 3.5, 4]})
    assert found["mean"] == [4] * 5
    assert found["quantiles"] == {"0.1": [3] * 5, "0.5": [4] * 5, "0.9": [5] * 5}
    assert (found["horizon"], found["columns"], found["used"], found["filled"]) == (5, ["b"], 4, 4)
    assert "timestamps" not in found


async def test_rows_are_answered_as_rows(client):
    found = await ask(client, {"series": [[1, 10], [2, 20], [3, 30]], "horizon": 2})
    assert found["mean"] == [[3, 30], [3, 30]]
    assert found["quantiles"]["0.9"] == [[4, 31], [4, 31]]
    assert (found["horizon"], found["columns"]) == (2, ["a", "b"])


async def test_columns_by_name_are_answered_by_name_whatever_their_order(client):
    found = await ask(client, {"series": {"b": [1, 2, 3], "a": [10, 20, 30]}, "horizon": 1})
    assert found["mean"] == {"b": [3], "a": [30]}
    assert found["quantiles"]["0.1"] == {"b": [2], "a": [29]}
    assert (await ask(client, {"series": {"a": [10, 20, 30]}, "horizon": 1}))["mean"] == {"a": [30]}


async def test_of_a_longer_series_the_last_part_is_used(client):
    found = await ask(client, {"series": list(range(100))})
    assert (found["mean"][0], found["used"], found["filled"]) == (99, 8, 0)


async def test_timestamps_go_on_where_the_series_ends(client):
    found = await ask(client, {"series": [1, 2, 3], "start": "2018-12-31T21:00:00", "horizon": 2})
    assert found["timestamps"] == ["2019-01-01T00:00:00", "2019-01-01T01:00:00"]
    found = await ask(client, {"series": [1, 2, 3], "start": "2019-10-31", "frequency": "1mo", "horizon": 2})
    assert found["timestamps"] == ["2020-01-31T00:00:00", "2020-02-29T00:00:00"]


async def test_a_model_without_a_frequency_asks_for_one(tmp_path):
    folder = write_steps_version(tmp_path / "models", frequency="")
    async with serving(Settings(models_dir=folder.parent.parent, reload_s=0.05)) as client:
        answer = await client.post("/v1/forecast", json={"series": [1, 2, 3], "start": "2018-12-31"})
        assert answer.status_code == 422
        assert "'frequency' is missing" in answer.json()["error"]


async def test_constant_and_enormous_series_get_finite_answers(client):
    assert (await ask(client, {"series": [5] * 20}))["mean"] == [5] * 5
    assert (await ask(client, {"series": [1e30, -1e30, 1e30]}))["mean"] == pytest.approx([1e30] * 5)


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"series": [1, 2]}, 422, "Field 'series' has 2 steps; this model takes at least 3."),
        ({"series": []}, 422, "Field 'series' is '[]'; expected numbers, rows of numbers, or columns by name."),
        ({"series": {}}, 422, "Field 'series' is '{}'; expected numbers"),
        ({"series": "1,2,3"}, 422, "Field 'series' is '1,2,3'; expected numbers"),
        ({"series": None}, 422, "Field 'series' is 'None'; expected numbers"),
        ({}, 422, "Field 'series' is missing."),
        ({"series": [[]]}, 422, "Field 'series[0]' is empty"),
        ({"series": [1, None, 3]}, 422, "Field 'series[1]' is 'None'; expected a number."),
        ({"series": [1, True, 3]}, 422, "Field 'series[1]' is 'True'; expected a number."),
        ({"series": [1, "2", 3]}, 422, "Field 'series[1]' is '2'; expected a number."),
        ({"series": [1, [2], 3]}, 422, "Field 'series[1]' is '[2]'; expected a number."),
        ({"series": [[1, 2], [3], [5, 6]]}, 422, "Field 'series[1]' has 1 numbers; expected 2, as in 'series[0]'."),
        ({"series": [[1, 2], 3, [5, 6]]}, 422, "Field 'series[1]' is '3'; expected a list of numbers."),
        ({"series": [[1, 2], [3, "x"], [5, 6]]}, 422, "Field 'series[1][1]' is 'x'; expected a number."),
        ({"series": [[1, 2, 3]] * 3}, 422, "Field 'series' has 3 columns; this model takes 2: a, b."),
        ({"series": {"a": [1, 2, 3], "c": [1, 2, 3]}}, 422, "Field 'series' has a column 'c'; this model has a, b."),
        ({"series": {"a": [1, 2, 3], "b": [1, 2]}}, 422, "Field 'series.b' has 2 numbers; expected 3, as in 'series.a'."),
        ({"series": {"a": 5}}, 422, "Field 'series.a' is '5'; expected a list of numbers."),
        ({"series": [1, 2, 3], "horizon": 10**9}, 422, "Field 'horizon' is 1000000000; this model forecasts at most 5 steps."),
        ({"series": [1, 2, 3], "horizon": 0}, 422, "Field 'horizon' is '0'"),
        ({"series": [1, 2, 3], "horizon": "5"}, 422, "Field 'horizon' is '5'"),
        ({"series": [1, 2, 1.1e30]}, 422, "Field 'series[2]' is '1.1e+30'; expected a number of at most 1e+30 either way."),
        ({"series": [10**100, 2, 3]}, 422, "Field 'series[0]' is '1e+100'; expected"),
        ({"series": [0.5] * 1001}, 413, "Field 'series' has 1001 numbers; expected at most 1000."),
        ({"series": [[1, 2]] * 501}, 413, "Field 'series' has 1002 numbers; expected at most 1000."),
        ({"series": {"a": [1] * 1001}}, 413, "Field 'series' has 1001 numbers; expected at most 1000."),
        ({"series": [1, 2, 3], "start": "yesterday"}, 422, "Field 'start' is 'yesterday'; expected a time such as"),
        ({"series": [1, 2, 3], "start": "9999-12-31T23:00:00"}, 422, "the forecast would be after the year 9999."),
        ({"series": [1, 2, 3], "frequency": "often"}, 422, "Field 'frequency' is 'often': expected a number and one of s, min"),
        ({"series": [1, 2, 3], "steps": 5}, 422, "Field 'steps'"),
    ],
    ids=lambda value: json.dumps(value)[:40] if isinstance(value, dict) else None,
)
async def test_what_cannot_be_forecast_is_one_sentence(client, body, status, said):
    answer = await client.post("/v1/forecast", json=body)
    assert (answer.status_code, said in answer.json()["error"]) == (status, True), answer.text


@pytest.mark.parametrize(
    "body", [b'{"series":[NaN,1,2]}', b'{"series":[Infinity,1,2]}', b'{"series":[1e400,1,2]}', b"[1,2", b""]
)
async def test_what_is_no_json_is_a_400(client, body):
    answer = await client.post("/v1/forecast", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400


async def test_another_media_type_is_a_415(client):
    answer = await client.post("/v1/forecast", content=b"1,2,3", headers={"Content-Type": "text/csv"})
    assert answer.status_code == 415


async def test_tensors_and_the_typed_endpoint_give_the_same_numbers(client):
    series = np.random.default_rng(3).normal(size=(8, 2)).round(3)
    typed = await ask(client, {"series": series.tolist()})
    tensor = {"name": "series", "datatype": "FP32", "shape": [1, 8, 2], "data": series.ravel().tolist()}
    answer = (await client.post("/v2/models/steps/infer", json={"inputs": [tensor]})).json()
    outputs = {one["name"]: np.reshape(one["data"], one["shape"]) for one in answer["outputs"]}
    assert np.allclose(outputs["mean"][0], typed["mean"])
    assert np.allclose(outputs["quantiles"][0, ..., 0], typed["quantiles"]["0.1"])
