"""The page for who runs the service: what is counted, how it is shown, and what it does while the service is away."""

import httpx
import pytest

from service.samples import SEVEN_PNG
from tests.conftest import ROOT, servers, write_version

PNG = {"content-type": "image/png"}
TEXT = r"""
# HELP seconds how long
# TYPE seconds histogram
seconds_bucket{route="/a\"b",le="0.1"} 1
seconds_bucket{route="/a\"b",le="0.2"} 3.0
seconds_bucket{route="/a\"b",le="+Inf"} 4
requests_total{route="/a",status="200"} 10
requests_total{route="/a",status="404"} 2
requests_total{route="/b",status="200"} 5
no line
up 1e3
"""


@pytest.fixture
def own(tmp_path):
    """A service with traffic of its own."""
    write_version(tmp_path / "models")
    write_version(tmp_path / "models", version=2, files={"model.onnx": b"junk"})
    with servers(tmp_path) as begin:
        yield begin, begin(models_dir=tmp_path / "models")


def row(page, table, name):
    return page.get_by_role("region", name=table).get_by_role("row").filter(has_text=name).get_by_role("cell").all_inner_texts()


def test_prometheus_text_is_read_and_quantiles_lie_within_their_buckets(visit):
    found = visit("/status").page.evaluate(
        """async text => {
            const { parse, sum, since, buckets, quantile, values } = await import("/web/metrics.js");
            const now = parse(text);
            const before = parse(text.replace('status="404"} 2', 'status="404"} 1').replace('} 1\\n', '} 0\\n'));
            const counted = buckets(now, null, "seconds");
            return {
                up: sum(now, "up"), a: sum(now, "requests_total", { route: "/a" }), good: sum(now, "requests_total", { status: s => s < "400" }),
                label: values(now, "seconds_bucket", "route"), since: since(now, before, "requests_total"), anew: since(before, now, "requests_total"),
                counted, half: quantile(counted, .5), most: quantile(counted, .99), none: quantile([], .5),
            };
        }""",
        TEXT,
    )
    assert (found["up"], found["a"], found["good"], found["label"]) == (1000, 12, 15, ['/a"b'])
    assert (found["since"], found["anew"]) == (1, 16)
    assert found["half"] == pytest.approx(0.15)
    assert found["most"] == pytest.approx(0.2)  # beyond the last bound nothing is known
    assert found["none"] is None
    assert [count for _, count in found["counted"]] == [1, 3, 4]


def test_requests_refusals_versions_and_drift_are_told(visit, own):
    _, server = own
    for _ in range(7):
        httpx.post(f"{server.url}/v1/classify", content=SEVEN_PNG, headers=PNG).raise_for_status()
    for _ in range(3):
        httpx.post(f"{server.url}/v1/classify", content=b"junk", headers=PNG)
    one = visit("/status", url=server.url)
    one.page.get_by_role("region", name="Routes").wait_for()
    answered, refused, failed, *_ = row(one.page, "Routes", "/v1/classify")
    assert (answered, refused, failed) == ("7", "3", "0")
    version, rows, *_, drift = row(one.page, "Models", "light")
    assert (version, rows) == ("1", "7")
    assert drift.split(", ")[1] in ("stable", "shifted", "drifted")
    assert "unsupported_media 3" in one.page.get_by_role("main").inner_text()
    assert "light 2" in one.page.get_by_role("main").inner_text()
    assert "onnxruntime cannot open the graph" in one.page.get_by_role("main").inner_text()
    figure = one.page.locator("figure", has=one.page.get_by_role("heading", name="Requests"))
    for _ in range(5):
        httpx.post(f"{server.url}/v1/classify", content=SEVEN_PNG, headers=PNG)
    figure.get_by_text("answered, 0 refused, 0 failed a second").wait_for()
    one.page.get_by_text("Last two minutes only").click()
    one.page.get_by_text("Of the last").first.wait_for()
    figure.get_by_text("Show the numbers").click()
    assert figure.get_by_role("row").count() >= 2
    assert one.axe() == []


def test_a_service_that_goes_away_is_told_of_and_followed_again_when_it_is_back(visit, own):
    begin, server = own
    one = visit("/status", url=server.url, expected=("ERR_CONNECTION_REFUSED", "ERR_EMPTY_RESPONSE", "ERR_CONNECTION_RESET"))
    one.page.get_by_role("region", name="Routes").wait_for()
    server.stop()
    one.page.get_by_text("The service does not answer").wait_for()
    assert one.axe() == []
    begin(models_dir=ROOT / "models", port=server.url.rpartition(":")[2])
    one.page.get_by_role("region", name="Models").get_by_text("digits").wait_for(timeout=20_000)
    one.page.get_by_text("The service does not answer").first.wait_for(state="hidden")


def test_while_it_is_paused_nothing_is_asked(visit):
    page = visit("/status").page
    page.get_by_role("region", name="Routes").wait_for()
    page.get_by_role("button", name="Pause").click()
    page.wait_for_timeout(200)
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_timeout(2500)
    assert asked == []
    page.get_by_role("button", name="Pause").click()
    page.wait_for_event("request")
