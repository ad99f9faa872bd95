"""Faults, in short, and that they are found where the service has no answer to them."""

import re
from functools import partial

import pytest

from tests.conftest import ROOT
from tests.drills import faults, host, models, planted, upheaval
from tests.drills.figures import Figure, Ground

WALL = {
    "service/agreement.py": 1,  # files that another worker left, against their time in the file system: early or late is harmless
    "service/keys.py": 1,  # until when a replaced key goes on, which a file must say by a clock that outlives processes
    "service/logs.py": 1,  # when a request was, for people
    "service/statistics.py": 2,  # the same, in the protocol's statistics
}
"""Where the service looks at the clock on the wall, which jumps, and how often: never to decide how long something may take."""

SHORT = {
    "clock": lambda ground: host.clock(ground, seconds=0.6),
    "files": lambda ground: host.files(ground, seconds=0.5),
    "stalled log": lambda ground: host.stalled_log(ground, count=600),
    "full log": lambda ground: host.full_log(ground, count=50),
    "gone": lambda ground: upheaval.gone(ground, seconds=0.1),
    "nan": lambda ground: models.nan(ground, rounds=5),
    "hangs": lambda ground: models.hangs(ground, deadline_s=1.0, count=2),
    "greedy": lambda ground: models.greedy(ground, count=2),
    "leavers": lambda ground: models.leavers(ground, count=20),
}


def missed(found: Figure | list[Figure]) -> list[Figure]:
    return [one for one in (found if isinstance(found, list) else [found]) if not one.ok]


@pytest.mark.parametrize("name", SHORT)
def test_a_fault_is_survived(start, tmp_path, name):
    assert missed(SHORT[name](Ground(start, tmp_path))) == []


FOUND = {
    "every-clock": lambda ground, fault: host.clock(ground, seconds=0.6, fault=fault),
    "waiting-log": lambda ground, fault: host.stalled_log(ground, count=600, command=planted.command(fault)),
    "forgetful": lambda ground, fault: upheaval.gone(_with(ground, fault), seconds=1),
    "shared-nan": lambda ground, fault: models.nan(_with(ground, fault), rounds=10),
    "endless-runs": lambda ground, fault: models.hangs(_with(ground, fault), deadline_s=0.5, count=1, back_s=0.5),
}


def _with(ground: Ground, fault: str) -> Ground:
    return Ground(partial(ground.start, command=planted.command(fault)), ground.folder)


@pytest.mark.parametrize("fault", FOUND)
def test_a_service_with_no_answer_to_a_fault_is_found(start, tmp_path, fault, monkeypatch):
    for module in (host, models, upheaval):
        monkeypatch.setattr(module, "PATIENCE_S", 2.0)
    assert missed(FOUND[fault](Ground(start, tmp_path), fault))


@pytest.mark.slow
def test_every_fault_is_survived(start, tmp_path):
    assert missed(faults.drill(Ground(start, tmp_path))) == []


def test_no_limit_hangs_on_a_clock_that_jumps():
    found = {}
    for path in sorted((ROOT / "service").rglob("*.py")):
        if count := len(re.findall(r"\btime\.time(?:_ns)?\(|datetime\.(?:now|utcnow|today)\(", path.read_text())):
            found[str(path.relative_to(ROOT))] = count
    assert found == WALL
