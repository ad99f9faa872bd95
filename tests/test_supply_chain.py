"""What we run on is known to the last byte, and nothing that is read can run.

Python's multiprocessing pickles between processes of our own (training's workers): nothing of that comes from a file or a client.
"""

import ast
import json
import re
import subprocess
import sys
import tomllib

import pytest

from tests.conftest import ROOT

CODE = [path for side in ("service", "training", "benchmarks") for path in sorted((ROOT / side).rglob("*.py"))]
PICKLES = {
    "pickle",
    "_pickle",
    "cPickle",
    "cloudpickle",
    "dill",
    "joblib",
    "marshal",
    "shelve",
    "jsonpickle",
    "pandas.io.pickle",
}
RUNS = {
    "eval",
    "exec",
    "os.system",
    "os.popen",
    "pickle.load",
    "pickle.loads",
    "read_pickle",
    "pd.read_pickle",
    "yaml.unsafe_load",
}
LOCKS = {name: (ROOT / f"requirements/{name}.lock").read_text() for name in ("build", "service-cpu", "service-gpu")}


def dangers(source: str) -> list[str]:
    """What in a module could run code that it reads, with its line."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        else:
            names = []
        found += [f"{node.lineno}: import {name}" for name in names if name in PICKLES or name.split(".")[0] in PICKLES]
        if isinstance(node, ast.Call) and (fault := called(node)):
            found.append(f"{node.lineno}: {fault}")
    return found


def called(call: ast.Call) -> str:
    """What is dangerous about a call; empty where nothing is."""
    name = ast.unparse(call.func)
    given = {word.arg: ast.unparse(word.value) for word in call.keywords}
    if name in RUNS or name.endswith(".read_pickle"):
        return name
    if name == "torch.load" and given.get("weights_only") != "True":
        return "torch.load without weights_only=True"
    if name == "yaml.load" and not given.get("Loader", "").endswith("SafeLoader"):
        return "yaml.load without SafeLoader"
    for word, value in given.items():
        if word in ("allow_pickle", "shell") and value != "False":
            return f"{name} with {word}={value}"
    return "__import__ of a variable" if name == "__import__" else ""


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_that_is_read_can_run(path):
    assert dangers(path.read_text()) == []


@pytest.mark.parametrize(
    "snippet",
    [
        "import pickle",
        "import pickle as p",
        "from pickle import loads",
        "import joblib.memory",
        "def f():\n    from dill import load",
        "import shelve",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
        "np.load(path, allow_pickle=anything)",
        "pd.read_pickle(path)",
        "yaml.load(text)",
        "yaml.load(text, Loader=yaml.Loader)",
        "eval(text)",
        "exec(text)",
        "subprocess.run(command, shell=True)",
        "os.system(command)",
        "__import__(name)",
    ],
)
def test_what_could_run_is_noticed(snippet):
    assert len(dangers(snippet)) == 1


def test_what_cannot_run_is_left_alone():
    kept = "torch.load(p, weights_only=True)\nnp.load(p)\nyaml.load(t, Loader=yaml.SafeLoader)\nsubprocess.run([a], shell=False)\nmodel.eval()"
    assert dangers(kept) == []


# --- locks ------------------------------------------------------------------------------------------------------------


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(text: str) -> dict[str, tuple[str, int]]:
    """Version and number of digests by name."""
    found = {}
    for entry in re.split(r"\n(?=[A-Za-z0-9])", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)):
        name, version = re.match(r"([A-Za-z0-9._-]+)==([A-Za-z0-9.]+)", entry.strip()).groups()
        found[plain(name)] = version, len(re.findall(r"--hash=sha256:[0-9a-f]{64}\b", entry))
    return found


CONSTRAINTS = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines())
PINNED = {plain(name): version for name, version in CONSTRAINTS.items()}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_has_digests_of_every_package_and_names_no_place(name):
    assert all(digests for _, digests in locked(LOCKS[name]).values())
    assert not re.search(r"://|--(index|extra|find|trusted)", LOCKS[name])


@pytest.mark.parametrize("name", ["service-cpu", "service-gpu"])
def test_a_lock_has_the_versions_that_are_tested(name):
    """Where this fails, `make lock`. NVIDIA's libraries are on no machine of ours, so constraints.txt has none of them."""
    drift = {one: (version, PINNED.get(one)) for one, (version, _) in locked(LOCKS[name]).items() if version != PINNED.get(one)}
    assert not [one for one in drift if not one.startswith("nvidia-")], drift


@pytest.mark.parametrize(("name", "extra"), [("service-cpu", "cpu"), ("service-gpu", "gpu")])
def test_a_lock_has_whatever_the_service_depends_on_and_nothing_of_training(name, extra):
    wanted = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"][extra]]
    assert {plain(re.match(r"[A-Za-z0-9._-]+", one)[0]) for one in wanted} <= locked(LOCKS[name]).keys()
    assert not {"torch", "onnx", "pytest", "matplotlib"} & locked(LOCKS[name]).keys()


def test_the_two_runtimes_are_in_a_lock_each():
    assert "onnxruntime-gpu" not in locked(LOCKS["service-cpu"])
    assert "onnxruntime" not in locked(LOCKS["service-gpu"])


def test_a_lock_that_lost_its_digests_is_noticed():
    assert locked("a==1 \\\n    --hash=sha256:" + "0" * 64 + "\nb.c==2.0\n") == {"a": ("1", 1), "b-c": ("2.0", 0)}


def test_make_serve_installs_nothing_without_its_digest():
    recipe = (ROOT / "Makefile").read_text().split("$(VENV)/.serve:")[1].split("\n\n")[0]
    assert "$(LOCKED)" in recipe
    assert "--no-deps --no-build-isolation" in recipe


# --- bill of materials ------------------------------------------------------------------------------------------------


def test_the_bill_of_materials_is_valid_and_names_every_package_with_its_digests():
    pytest.importorskip("cyclonedx_py", reason="makes it")
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    (line,) = [one for one in (ROOT / "Makefile").read_text().splitlines() if "cyclonedx_py" in one]
    command = line.strip().replace("-o build/sbom.json ", "").split()[1:]
    made = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    bill = json.loads(made)
    assert JsonStrictValidator(SchemaVersion.from_version(bill["specVersion"])).validate_str(made) is None
    assert (
        JsonStrictValidator(SchemaVersion.from_version(bill["specVersion"])).validate_str(made.replace('"library"', '"x"'))
        is not None
    )
    assert bill["metadata"]["component"]["name"] == PROJECT["name"]
    assert {plain(one["name"]): one["version"] for one in bill["components"]} == {
        name: version for name, (version, _) in locked(LOCKS["service-cpu"]).items()
    }


def test_an_audit_that_asked_nobody_is_no_pass():
    recipe = (ROOT / "Makefile").read_text().split("\naudit:")[1].split("\n\n")[0]
    assert "--strict" in recipe
    assert "exit 1" in recipe
