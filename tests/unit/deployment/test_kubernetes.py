"""The manifests fit the schemas of Kubernetes and KEDA, the settings, and each other."""

from pathlib import Path

import jsonschema
import pytest
import yaml
from tests.unit.deployment.settings_variables import setting_variables

from callsheet.operation_api.catalog import discover
from callsheet.settings import Settings, parse_lanes

kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="pip install kubernetes-validate")

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "deploy/kubernetes"
KEDA = yaml.safe_load((ROOT / "tests/schemas/keda/keda.sh_scaledobjects.yaml").read_text())
VERSIONS = ("1.31", "1.35")


def documents_in(folder):
    """The resources of a kustomization, with those that it includes."""
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    for entry in [*kustomization.get("resources", ()), *kustomization.get("components", ())]:
        if (folder / entry).is_dir():
            yield from documents_in((folder / entry).resolve())
        else:
            yield from yaml.safe_load_all((folder / entry).read_text())


ALL = list(documents_in(FOLDER / "example"))
PODS = {
    document["metadata"]["name"]: document["spec"]["template"]["spec"]
    for document in ALL
    if document["kind"] in {"Deployment", "Job"}
}
WORKERS = {name: pod for name, pod in PODS.items() if name.startswith("callsheet-worker-")}
SCALED = [document for document in ALL if document["kind"] == "ScaledObject"]


def name_of(document):
    return f"{document['kind']} {document['metadata']['name']}"


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("document", [each for each in ALL if each["kind"] != "ScaledObject"], ids=name_of)
def test_it_fits_the_schema_of_kubernetes(document, version):
    assert kubernetes_validate.validate(document, version, strict=True).startswith(version)


def test_the_schema_of_kubernetes_finds_a_misspelt_field():
    wrong = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "datas": {}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[0], strict=True)


@pytest.mark.parametrize("document", SCALED, ids=name_of)
def test_it_fits_the_schema_of_keda(document):
    [version] = [each for each in KEDA["spec"]["versions"] if each["name"] == "v1alpha1"]
    schema = closed(version["schema"]["openAPIV3Schema"])
    assert list(jsonschema.Draft202012Validator(schema).iter_errors(document)) == []
    with pytest.raises(jsonschema.ValidationError, match="minReplicas"):
        jsonschema.Draft202012Validator(schema).validate({**document, "spec": {**document["spec"], "minReplicas": 1}})


def closed(schema):
    """The schema, without unknown fields in objects whose fields it lists. Kubernetes would drop them silently."""
    if not isinstance(schema, dict):
        return schema
    parts = {name: closed(part) if name in {"items", "additionalProperties"} else part for name, part in schema.items()}
    if "properties" in schema:
        parts["properties"] = {name: closed(part) for name, part in schema["properties"].items()}
        parts.setdefault("additionalProperties", False)
    return parts


def test_a_scaled_object_has_the_fields_that_its_trigger_needs():
    """Written by hand: KEDA's schema leaves the fields of triggers open."""
    assert {document["spec"]["scaleTargetRef"]["name"] for document in SCALED} <= WORKERS.keys()
    for document in SCALED:
        [trigger] = document["spec"]["triggers"]
        assert (trigger["type"], trigger["metricType"]) == ("prometheus", "AverageValue")
        assert trigger["metadata"].keys() == {"serverAddress", "query", "threshold"}
        assert all(isinstance(value, str) for value in trigger["metadata"].values())


def test_workers_are_scaled_by_their_own_queues():
    for document in SCALED:
        query = document["spec"]["triggers"][0]["metadata"]["query"]
        queues = option(WORKERS[document["spec"]["scaleTargetRef"]["name"]], "queues").split(",")
        assert query == f'max(callsheet_queue_desired_workers{{queue=~"{"|".join(queues)}"}})'


def option(pod, name):
    [container] = pod["containers"]
    [value] = [part.partition("=")[2] for part in container["args"] if part.startswith(f"--{name}=")]
    return value


def test_the_workers_together_serve_every_queue():
    queues = [queue for pod in WORKERS.values() for queue in option(pod, "queues").split(",")]
    assert sorted(queues) == sorted(discover(()).queues())
    for pod in WORKERS.values():
        assert parse_lanes(option(pod, "concurrency")).keys() == {*option(pod, "queues").split(",")}


def test_every_variable_is_a_setting_and_all_of_them_are_valid(monkeypatch):
    values = {}
    for document in ALL:
        values |= document.get("data", {}) | document.get("stringData", {}) if document["kind"] != "Deployment" else {}
    for pod in PODS.values():
        values |= {each["name"]: each["value"] for each in pod["containers"][0].get("env", ())}
    assert values.keys() - setting_variables() == set()

    for name, value in values.items():
        monkeypatch.setenv(name, value)
    assert Settings(_env_file=None).monitor_port == 3031


@pytest.mark.parametrize("name", PODS)
def test_pods_meet_the_restricted_standard(name):
    pod = PODS[name]
    [container] = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert [each["mountPath"] for each in container["volumeMounts"]] == ["/data", "/tmp"]


@pytest.mark.parametrize("name", PODS)
def test_no_variable_of_a_service_is_taken_for_a_setting(name):
    """Kubernetes would set CALLSHEET_PORT=tcp://… for the Service `callsheet`."""
    assert PODS[name]["enableServiceLinks"] is False


@pytest.mark.parametrize("name", WORKERS)
def test_a_stopping_worker_has_time_to_let_its_jobs_run(name, monkeypatch):
    variables = {each["name"]: each["value"] for each in WORKERS[name]["containers"][0]["env"]}
    monkeypatch.setenv("CALLSHEET_GRACE_PERIOD", variables["CALLSHEET_GRACE_PERIOD"])
    grace = Settings(_env_file=None).grace_period.total_seconds()

    assert WORKERS[name]["terminationGracePeriodSeconds"] >= grace + 30


def test_patches_change_resources_that_exist():
    kustomization = yaml.safe_load((FOLDER / "example/kustomization.yaml").read_text())
    known = {name_of(document) for document in ALL}
    patches = [yaml.safe_load((FOLDER / "example" / patch["path"]).read_text()) for patch in kustomization["patches"]]

    assert patches
    assert {name_of(patch) for patch in patches} <= known
    images = {container["image"].split(":")[0] for pod in PODS.values() for container in pod["containers"]}
    assert images == {image["name"] for image in kustomization["images"]}
