"""KServe's client as people have it, against a real server process. Its dependencies are many, so it has its own environment."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT, write_version, write_words_version

PYTHON = ROOT / ".venv-kserve/bin/python"
CALLS = Path(__file__).parent / "clients/kserve_calls.py"


@pytest.mark.skipif(
    not PYTHON.exists() and "CI" not in os.environ, reason="KServe's client is not installed; `make test` installs it"
)
def test_the_client_calls_all_it_has(start, tmp_path):
    write_version(tmp_path / "models")
    write_words_version(tmp_path / "models")
    server = start(models_dir=tmp_path / "models")
    done = subprocess.run([PYTHON, CALLS, server.url], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert (told["live"], told["ready"], told["model"]) == (True, True, True)
    for binary in (False, True):
        identity, probabilities = told[f"binary {binary}"]
        assert identity == "7"
        assert [[round(one, 6) for one in row] for row in probabilities] == [[0.8, 0.2]] * 2
    assert told["text"][0][1] > 0.8
    assert "Model 'nobody' is not served" in told["error"]
