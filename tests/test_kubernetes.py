"""The Kubernetes manifests keep their promises, as far as reading them tells: by the schemas of Kubernetes itself, with no cluster."""

import re
from pathlib import Path

import pytest
import yaml

from service.settings import Settings
from tests.test_compose import STAGES, every

kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="brings the schemas")

DEPLOY = Path(__file__).parent.parent / "deploy"
PLAIN = DEPLOY / "kubernetes"
MANIFESTS = {
    path.relative_to(DEPLOY).as_posix(): yaml.safe_load(path.read_text())
    for path in sorted(DEPLOY.rglob("*.yaml"))
    if path.name != "kustomization.yaml"
}
KUSTOMIZATION = yaml.safe_load((PLAIN / "kustomization.yaml").read_text())
KSERVE = MANIFESTS["kserve/inference-service.yaml"]
DEPLOYMENT = MANIFESTS["kubernetes/deployment.yaml"]
PODS = {"plain": DEPLOYMENT["spec"]["template"]["spec"], "kserve": KSERVE["spec"]["predictor"]}
OF_KSERVE = {"minReplicas", "maxReplicas", "scaleMetric", "scaleTarget"}
"""What a predictor has beside the fields of a pod."""


def container(pod):
    (one,) = pod["containers"]
    return one


def environment(pod):
    return {entry["name"]: entry["value"] for entry in container(pod)["env"]}


def as_pod(predictor):
    """A predictor's fields of a pod as a pod, for the schema."""
    spec = {key: value for key, value in predictor.items() if key not in OF_KSERVE}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": spec}


@pytest.mark.parametrize("name", [name for name in MANIFESTS if name.startswith("kubernetes/")])
def test_a_manifest_follows_the_schema(name):
    kubernetes_validate.validate(MANIFESTS[name], kubernetes_validate.latest_version(), strict=True)


def test_the_predictor_follows_the_schema_of_a_pod():
    kubernetes_validate.validate(as_pod(KSERVE["spec"]["predictor"]), kubernetes_validate.latest_version(), strict=True)


def test_a_field_that_there_is_not_breaks_the_schema():
    wrong = {**DEPLOYMENT, "spec": {**DEPLOYMENT["spec"], "replica": 1}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, kubernetes_validate.latest_version(), strict=True)


def test_the_kustomization_names_every_file():
    assert set(KUSTOMIZATION["resources"]) == {path.name for path in PLAIN.glob("*.yaml")} - {"kustomization.yaml"}


def test_every_selector_finds_the_pods():
    labels = DEPLOYMENT["spec"]["template"]["metadata"]["labels"]
    service, budget, policy = (
        MANIFESTS[f"kubernetes/{name}.yaml"] for name in ("service", "disruption-budget", "network-policy")
    )
    assert service["spec"]["selector"].items() <= labels.items()
    assert budget["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert policy["spec"]["podSelector"]["matchLabels"].items() <= labels.items()
    assert DEPLOYMENT["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert MANIFESTS["kubernetes/autoscaler.yaml"]["spec"]["scaleTargetRef"]["name"] == DEPLOYMENT["metadata"]["name"]


@pytest.mark.parametrize("pod", PODS.values(), ids=PODS)
def test_a_pod_may_nothing_that_it_does_not_need(pod):
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert every("USER", "service") == ["{runAsUser}:{runAsGroup}".format(**pod["securityContext"])]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    rights = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    assert container(pod)["securityContext"] == rights
    assert pod["automountServiceAccountToken"] is False
    assert container(pod)["resources"]["limits"].keys() == {"memory"}


@pytest.mark.parametrize("pod", PODS.values(), ids=PODS)
def test_no_service_of_the_same_name_changes_a_setting(pod):
    """Kubernetes would set MODELYARD_PORT=tcp://… in the pods beside a Service named modelyard."""
    assert pod["enableServiceLinks"] is False


@pytest.mark.parametrize("pod", PODS.values(), ids=PODS)
def test_a_pod_is_given_the_time_to_drain(pod):
    delay_s = float(environment(pod)["MODELYARD_DRAIN_DELAY_S"])
    assert delay_s + Settings.model_fields["drain_s"].default + 2 < pod["terminationGracePeriodSeconds"]
    probe = container(pod)["readinessProbe"]
    assert delay_s > 2 * probe["periodSeconds"], "it is asked and found not ready before the port closes"


@pytest.mark.parametrize("pod", PODS.values(), ids=PODS)
def test_a_pod_is_asked_what_the_service_answers(pod, client_paths):
    probes = [container(pod)[name] for name in ("startupProbe", "readinessProbe", "livenessProbe") if name in container(pod)]
    assert {probe["httpGet"]["path"] for probe in probes} <= client_paths
    assert str(container(pod)["ports"][0]["containerPort"]) in every("ENV", "service")[0]


@pytest.fixture(scope="module")
def client_paths():
    from service.app import create_app

    return set(create_app(Settings()).openapi()["paths"])


@pytest.mark.parametrize("pod", PODS.values(), ids=PODS)
def test_a_pod_sets_only_settings_that_exist(pod):
    others = {"STORAGE_URI"}
    assert set(environment(pod)) - others <= {f"MODELYARD_{field.upper()}" for field in Settings.model_fields}


def test_a_pod_has_keys_unless_a_gateway_has():
    plain, kserve = PODS.values()
    assert "MODELYARD_OPEN" not in environment(plain)
    assert environment(plain)["MODELYARD_KEYS"].startswith(container(plain)["volumeMounts"][1]["mountPath"])
    assert environment(kserve)["MODELYARD_OPEN"] == "true"


def test_a_pod_leaves_when_another_is_ready():
    assert DEPLOYMENT["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert MANIFESTS["kubernetes/disruption-budget.yaml"]["spec"]["maxUnavailable"] == 1
    assert "replicas" not in DEPLOYMENT["spec"], "they are the autoscaler's"


def test_the_image_is_one_that_is_built_here():
    assert "service" in STAGES
    assert re.fullmatch(r"modelyard(:cpu)?", container(PODS["kserve"])["image"])
    assert container(PODS["plain"])["image"] == KUSTOMIZATION["images"][0]["name"]
