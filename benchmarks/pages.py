"""The pages in a real browser: what each weighs, how soon its first result is there, how soon a key is painted.

    python benchmarks/pages.py [--rounds 5]

Starts the service with the shipped models, and Debian's Chromium (`chromium` on the PATH) by Playwright. Every round opens
every page with an empty cache. Weight is what the network carried, packed, pictures and data of the API included.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import httpx
from playwright.sync_api import Browser, sync_playwright

sys.path.insert(0, str(Path(__file__).parent.parent))
from benchmarks.serving import ROOT, free_port, until_answered
from service.samples import SEVEN_PNG

FIRST = {"/": ".thumbnail > :first-child", "/status": ".wide-table", "/docs": ".operation"}
"""What is there once a page has its first result; of a model's page: an answer."""
ANSWER = ".answer :not(.timing, .note)"
OBSERVE = """() => {
  window.durations = [];
  new PerformanceObserver(list => list.getEntries().forEach(one => {
    if (one.name === "keydown") window.durations.push(one.duration);
  })).observe({type: "event", durationThreshold: 16});
}"""


def opened(browser: Browser, url: str, path: str) -> tuple[float, int, int]:
    """Milliseconds to the first result; kilobytes of files of ours and of answers of the API."""
    context = browser.new_context()
    page = context.new_page()
    carried = {"files": 0, "api": 0}
    session = context.new_cdp_session(page)
    session.send("Network.enable")
    kinds: dict[str, str] = {}
    session.on(
        "Network.responseReceived",
        lambda event: kinds.__setitem__(event["requestId"], "api" if "/v1/" in event["response"]["url"] else "files"),
    )
    session.on(
        "Network.loadingFinished",
        lambda event: carried.__setitem__(
            kinds[event["requestId"]], carried[kinds[event["requestId"]]] + event["encodedDataLength"]
        ),
    )
    begun = time.perf_counter()
    page.goto(url + path, wait_until="commit")
    page.locator(FIRST.get(path, ANSWER)).first.wait_for()
    seconds = time.perf_counter() - begun
    page.wait_for_load_state("networkidle") if path != "/status" else page.wait_for_timeout(500)
    context.close()
    return 1e3 * seconds, round(carried["files"] / 1e3), round(carried["api"] / 1e3)


def typed(browser: Browser, url: str) -> list[float]:
    """Milliseconds from each of some keys to the next paint, on the page of texts."""
    page = browser.new_page()
    page.goto(f"{url}/play/reviews")
    page.locator(ANSWER).first.wait_for()
    page.evaluate(OBSERVE)
    page.get_by_role("textbox", name="Text").first.press_sequentially(" A superb ending, and no dull moment.", delay=60)
    page.wait_for_timeout(500)
    found: list[float] = page.evaluate("() => window.durations")
    page.close()
    return found


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--rounds", type=int, default=5)
    rounds = options.parse_args().rounds
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if not chromium:
        sys.exit("There is no Chromium on the PATH.")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environment = {**os.environ, "MODELYARD_PORT": str(port), "MODELYARD_LOG_LEVEL": "error"}
    server = subprocess.Popen([sys.executable, "-m", "service"], cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
    try:
        with httpx.Client(base_url=url) as client:
            until_answered(client, "/v1/classify", {"content": SEVEN_PNG, "headers": {"Content-Type": "image/png"}})
            while client.get("/v2/health/ready").status_code != 200:
                time.sleep(0.01)
        names = [one["name"] for one in httpx.get(f"{url}/v1/models").json()["models"]]
        paths = ["/", *(f"/play/{name}" for name in names), "/status", "/docs"]
        with sync_playwright() as started:
            browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            opened(browser, url, "/")  # the browser's own start
            seen = {path: [] for path in paths}
            for _ in range(rounds):
                for path in paths:
                    seen[path].append(opened(browser, url, path))
            keys = sorted(typed(browser, url))
            browser.close()
        for path, found in seen.items():
            first = [one[0] for one in found]
            said = f"{statistics.median(first):5.0f} ms ({min(first):.0f} to {max(first):.0f})"
            print(f"{path:16} first result {said}, files {found[0][1]} kB, answers {found[0][2]} kB")
        middle = statistics.median(keys) if keys else 0
        print(f"a key to its paint: p50 {middle:.0f} ms, worst {max(keys, default=0):.0f} ms, of {len(keys)} over 16 ms")
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
