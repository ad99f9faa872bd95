"""A client that asks a service again and again while something else is done to it."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from service.samples import SEVEN_PNG
from tests.conftest import Process

EVERY_S = 0.01


@contextmanager
def asked(one: Process) -> Iterator[Counter[str]]:
    """What `/v1/classify` answers to a picture, counted: `<label> by <version>`, or the name of what went wrong."""
    answers: Counter[str] = Counter()
    done = threading.Event()

    def ask() -> None:
        with httpx.Client(base_url=one.url, timeout=10) as client:
            while not done.wait(EVERY_S):
                try:
                    said = client.post("/v1/classify", content=SEVEN_PNG, headers={"content-type": "image/png"}).json()
                    answers[f"{said['predictions'][0]['label']} by {said['version']}"] += 1
                except (httpx.HTTPError, KeyError, ValueError) as error:
                    answers[type(error).__name__] += 1

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield answers
    finally:
        done.set()
        thread.join()
