"""The container files keep their promises, as far as reading them tells: no daemon, no network, no image.

`make image-test` (tests/image/run.sh) builds the image and proves the rest.
"""

import json
import re
import subprocess
import tomllib
from importlib import resources
from pathlib import Path

import pytest
import yaml
from jsonschema.validators import validator_for

from service.settings import Settings
from training.settings import Settings as TrainingSettings

REPO = Path(__file__).parent.parent
COMPOSE, GPU, KEYS = (REPO / f"docker-compose{name}.yml" for name in ("", ".gpu", ".keys"))
SERVICES = yaml.safe_load(COMPOSE.read_text())["services"]
ON_GPU = yaml.safe_load(GPU.read_text())["services"]
WITH_KEYS = yaml.safe_load(KEYS.read_text())["services"]
SETTINGS = {f"MODELYARD_{field.upper()}" for field in Settings.model_fields | TrainingSettings.model_fields}


def read_stages():
    """The Dockerfile as {stage: [(instruction, rest), ...]}, its global ARG lines under an empty name."""
    text = re.sub(r"^\s*#.*\n", "", (REPO / "Dockerfile").read_text(), flags=re.MULTILINE)
    stages, lines = {"": []}, re.sub(r"\\\n\s*", "", text).splitlines()
    for instruction, rest in (line.split(maxsplit=1) for line in lines if line):
        if instruction == "FROM":
            stages[rest.split(" AS ")[1]] = []
        stages[list(stages)[-1]].append((instruction, rest))
    return stages


STAGES = read_stages()


def every(instruction, stage=None):
    """What follows each such instruction, in one stage or in all."""
    return [rest for name, lines in STAGES.items() if stage in (None, name) for word, rest in lines if word == instruction]


def mounts(service):
    return {mount["target"]: mount for mount in SERVICES[service]["volumes"] if isinstance(mount, dict)}


# --- compose ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [COMPOSE, GPU, KEYS], ids=lambda path: path.name)
def test_compose_file_follows_the_specification(path):
    pytest.importorskip("check_jsonschema", reason="brings the specification's schema")
    folder = resources.files("check_jsonschema.builtin_schemas.vendor")
    schema = json.loads((folder / "compose-spec.json").read_text())
    validator_for(schema)(schema).validate(yaml.safe_load(path.read_text()))


@pytest.mark.parametrize("files", [[COMPOSE], [COMPOSE, GPU], [COMPOSE, KEYS]], ids=["cpu", "gpu", "keys"])
def test_compose_client_accepts_the_files(files):
    try:
        subprocess.run(["docker", "compose", "version"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no docker client with compose here")
    chosen = [word for path in files for word in ("--file", path)]
    done = subprocess.run(["docker", "compose", *chosen, "--profile", "*", "config", "--quiet"], capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


LOOSENS = {"privileged", "cap_add", "pid", "ipc", "network_mode", "devices", "userns_mode", "cgroup", "group_add", "sysctls"}


def lax(service):
    """What of a service's hardening is missing."""
    tmpfs = [entry.split(":") for entry in service.get("tmpfs", [])]
    kept = {
        "its root is read-only": service.get("read_only") is True,
        "only /tmp can be written, up to a size": [name for name, *_ in tmpfs] == ["/tmp"] and "size=" in str(tmpfs),
        "no capability": service.get("cap_drop") == ["ALL"],
        "no new privilege": service.get("security_opt") == ["no-new-privileges:true"],
        "nothing that loosens": not LOOSENS & service.keys(),
        "processes are bounded": service.get("pids_limit", 0) > 0,
        "memory is bounded": re.fullmatch(r"(\$\{[A-Z_]+:-)?[1-9]\d*g\}?", service.get("mem_limit", "")) is not None,
        "a process 1 that reaps": service.get("init") is True,
    }
    return [what for what, holds in kept.items() if not holds]


@pytest.mark.parametrize("service", SERVICES)
def test_container_is_hardened_and_bounded(service):
    assert lax(SERVICES[service]) == []


@pytest.mark.parametrize(
    "fault",
    [
        {"read_only": False},
        {"tmpfs": ["/tmp"]},
        {"tmpfs": ["/tmp:size=1m", "/etc:size=1m"]},
        {"cap_drop": []},
        {"security_opt": []},
        {"privileged": True},
        {"cap_add": ["SYS_ADMIN"]},
        {"network_mode": "host"},
        {"pids_limit": -1},
        {"mem_limit": ""},
        {"init": False},
    ],
    ids=str,
)
def test_a_lax_container_is_noticed(fault):
    assert len(lax({**SERVICES["trainer"], **fault})) == 1


def test_user_is_never_root():
    assert "user" not in SERVICES["modelyard"], "the image's own user serves"
    assert re.fullmatch(r"\$\{TRAINER_UID:-[1-9]\d*\}:\$\{TRAINER_GID:-[1-9]\d*\}", SERVICES["trainer"]["user"])


def test_service_only_reads_models_and_trainer_writes_them():
    assert mounts("modelyard")["/models"] == {**mounts("trainer")["/models"], "read_only": True}
    assert set(mounts("modelyard")) == {"/models"}
    assert "read_only" not in mounts("trainer")["/models"]


def test_mounts_are_where_the_images_look():
    assert "MODELYARD_MODELS_DIR=/models" in every("ENV", "runtime")[0].split()
    assert every("ENV", "trainer") == ["MODELYARD_CACHE_DIR=/cache MODELYARD_RUNS_DIR=/runs"]
    assert set(mounts("trainer")) == {"/models", "/runs"}
    assert [mount.split(":")[1] for mount in SERVICES["trainer"]["volumes"] if isinstance(mount, str)] == ["/cache"]


def test_stop_waits_longer_than_the_drain():
    drain_s = sum(Settings.model_fields[field].default for field in ("drain_delay_s", "drain_s"))
    assert drain_s < 30 < int(SERVICES["modelyard"]["stop_grace_period"].removesuffix("s"))


def test_port_is_published_on_this_machine_only_unless_asked():
    assert SERVICES["modelyard"]["ports"] == ["${PUBLISH:-127.0.0.1}:${PORT:-8000}:8000"]


def test_plain_up_starts_the_service_alone():
    assert [name for name, service in SERVICES.items() if "profiles" not in service] == ["modelyard"]


@pytest.mark.parametrize("service", SERVICES)
def test_image_is_built_here_and_not_pulled(service):
    assert SERVICES[service]["pull_policy"] == "build"
    assert SERVICES[service]["build"]["target"] in STAGES


@pytest.mark.parametrize("services", [SERVICES, ON_GPU, WITH_KEYS], ids=["cpu", "gpu", "keys"])
def test_compose_names_only_settings_and_arguments_that_exist(services):
    arguments = {word.split("=")[0] for rest in every("ARG") for word in rest.split()}
    for service in services.values():
        assert service.get("environment", {}).keys() <= SETTINGS
        assert service.get("build", {}).get("args", {}).keys() <= arguments


def test_gpu_file_changes_the_runtime_the_provider_and_the_devices():
    service = ON_GPU["modelyard"]
    assert service["build"] == {"args": {"RUNTIME": "gpu"}}
    assert service["environment"] == {"MODELYARD_PROVIDER": "cuda"}
    assert service["image"] != SERVICES["modelyard"]["image"]
    for name in SERVICES:
        (device,) = ON_GPU[name]["deploy"]["resources"]["reservations"]["devices"]
        assert device["capabilities"] == ["gpu"]


def test_without_keys_the_service_is_open_to_this_machine_alone_and_with_keys_to_none():
    assert SERVICES["modelyard"]["environment"]["MODELYARD_OPEN"] == "true"
    assert "${PUBLISH:-127.0.0.1}" in SERVICES["modelyard"]["ports"][0]
    assert WITH_KEYS["modelyard"]["environment"] == {"MODELYARD_KEYS": "/keys/keys.json", "MODELYARD_OPEN": "false"}


def test_the_keys_are_read_only_and_their_owner_reads_them():
    (mount,) = WITH_KEYS["modelyard"]["volumes"]
    assert (mount["source"], mount["target"], mount["read_only"]) == ("./keys", "/keys", True)
    assert re.fullmatch(r"\$\{KEYS_UID:-[1-9]\d*\}:\$\{KEYS_GID:-[1-9]\d*\}", WITH_KEYS["modelyard"]["user"])


# --- Dockerfile -------------------------------------------------------------------------------------------------------


def test_default_target_is_the_service():
    assert list(STAGES)[-1] == "service"


@pytest.mark.parametrize("image", ["service", "trainer"])
def test_image_takes_only_an_environment_from_its_build(image):
    assert every("COPY", image) == [f"--from={image}-build /venv /venv"]
    assert every("FROM", image) == [f"runtime AS {image}"]
    assert every("COPY", "runtime") == []


@pytest.mark.parametrize("image", ["service", "trainer"])
def test_image_ends_as_a_numbered_user_who_is_not_root(image):
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", every("USER", image)[-1])


@pytest.mark.parametrize("image", ["service", "trainer"])
def test_signals_reach_python(image):
    package = {"service": "service", "trainer": "training"}[image]
    assert [json.loads(rest) for rest in every("ENTRYPOINT", image)] == [["python", "-m", package]]


def test_health_check_needs_nothing_but_python():
    (check,) = every("HEALTHCHECK", "service")
    command = json.loads(check.split("CMD ")[1])
    assert command[:2] == ["python", "-c"]
    assert "/v2/health/ready" in command[2]
    compile(command[2], "HEALTHCHECK", "exec")


def test_service_image_has_one_runtime_and_no_torch():
    extras = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert every("ARG", "service-build")[0] == "RUNTIME=cpu"
    assert {"cpu", "gpu", "train"} <= extras.keys()
    assert "service-${RUNTIME}.lock" in every("RUN", "service-build")[0]
    assert {path.name for path in (REPO / "requirements").glob("service-*.lock")} == {"service-cpu.lock", "service-gpu.lock"}
    assert [re.findall(r'"\.\[(.+)\]"', rest) for rest in every("RUN", "trainer-build")] == [["cpu,train"], []]
    assert "training" not in " ".join(every("COPY", "service-build"))


def test_service_image_installs_nothing_without_its_digest():
    locked, ours = every("RUN", "service-build")
    assert "--require-hashes" in locked
    assert {"--no-deps", "--no-build-isolation"} <= set(ours.split())


def test_environment_names_only_settings_that_exist():
    assert set(re.findall(r"\bMODELYARD_\w+", " ".join(every("ENV")))) <= SETTINGS


def test_context_holds_what_is_copied_and_nothing_else():
    first, *rest = [line for line in (REPO / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    allowed = {line.removeprefix("!") for line in rest if line.startswith("!")}
    copied = {word for line in every("COPY") if not line.startswith("--from") for word in line.split()[:-1]}
    assert first == "*"
    assert allowed == copied


@pytest.mark.parametrize("name", ["Dockerfile", "docker-compose.yml", "docker-compose.gpu.yml", "tests/image/run.sh"])
def test_no_registry_or_mirror_is_named(name):
    addresses = re.findall(r"https?://([^\s:/\"']+)", (REPO / name).read_text())
    assert {host for host in addresses if not host.startswith("$")} <= {"127.0.0.1"}


def test_image_test_is_a_script_that_bash_reads():
    script = REPO / "tests/image/run.sh"
    assert script.stat().st_mode & 0o100
    assert subprocess.run(["bash", "-n", script], capture_output=True).stderr == b""
