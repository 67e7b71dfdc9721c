"""The Kubernetes manifests: valid by the API's schemas, safe by default, and in step with the program."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from typer.main import get_command

from cli.main import app
from core.settings import Settings
from tests.kubernetes_manifests import (
    CUSTOM_KINDS,
    KUBERNETES_VERSION,
    ROOT,
    all_resources,
    kustomizations,
    pod_specs,
    resources_of,
)

PODS = dict(pod_specs())
COMPONENT = "app.kubernetes.io/component"


def test_every_resource_is_valid_for_the_kubernetes_api() -> None:
    built_in = [resource for resource in all_resources() if resource["kind"] not in CUSTOM_KINDS]

    assert len(built_in) >= 9
    for resource in built_in:
        kubernetes_validate.validate(resource, KUBERNETES_VERSION, strict=True)


def test_every_file_belongs_to_a_kustomization_and_every_one_listed_exists() -> None:
    listed = {
        (folder / name).resolve()
        for folder in kustomizations()
        for key in ("resources", "components")
        for name in yaml.safe_load((folder / "kustomization.yaml").read_text()).get(key, [])
    }
    files = {path.resolve() for path in ROOT.rglob("*.yaml") if path.name != "kustomization.yaml"}

    assert files <= listed
    assert all(path.exists() for path in listed)


@pytest.mark.parametrize("name", sorted(PODS))
def test_pods_run_without_rights(name: str) -> None:
    spec = PODS[name]

    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["enableServiceLinks"] is False
    for container in spec["containers"]:
        rights = container["securityContext"]
        assert rights["allowPrivilegeEscalation"] is False
        assert rights["readOnlyRootFilesystem"] is True
        assert rights["capabilities"] == {"drop": ["ALL"]}


@pytest.mark.parametrize("name", sorted(PODS))
def test_pods_state_what_memory_they_may_take(name: str) -> None:
    for container in PODS[name]["containers"]:
        assert {"cpu", "memory"} <= set(container["resources"]["requests"])
        assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("name", sorted(PODS))
def test_pods_mount_the_volumes_that_they_declare(name: str) -> None:
    spec = PODS[name]
    mounted = {mount["name"] for container in spec["containers"] for mount in container["volumeMounts"]}

    assert mounted == {volume["name"] for volume in spec["volumes"]}
    assert "/tmp" in {mount["mountPath"] for container in spec["containers"] for mount in container["volumeMounts"]}


@pytest.mark.parametrize("name", sorted(PODS))
def test_pods_run_commands_that_the_program_has(name: str) -> None:
    program: Any = get_command(app)
    for container in PODS[name]["containers"]:
        command, *arguments = container["args"]
        known = {option for parameter in program.get_command(None, command).params for option in parameter.opts}
        assert {argument for argument in arguments if argument.startswith("--")} <= known


def test_configuration_names_settings_that_exist() -> None:
    lines = (ROOT / "base" / "limpid.env").read_text().splitlines()
    names = {line.split("=")[0] for line in lines}

    assert names <= {f"LIMPID_{field.upper()}" for field in Settings.model_fields}


def test_all_queues_are_served() -> None:
    served = {
        queue
        for spec in PODS.values()
        for container in spec["containers"]
        if container["args"][0] == "worker"
        for queue in container["args"][container["args"].index("--queues") + 1].split(",")
    }

    assert served == {"cpu.interactive", "cpu.bulk", "gpu.interactive", "gpu.bulk", "io", "maintenance"}


def test_scaling_targets_a_deployment_of_the_base() -> None:
    deployments = {
        resource["metadata"]["name"] for resource in resources_of(ROOT / "base") if resource["kind"] == "Deployment"
    }
    scaled = [resource for resource in all_resources() if resource["kind"] == "ScaledObject"]

    assert scaled
    for resource in scaled:
        assert resource["spec"]["scaleTargetRef"]["name"] in deployments
        references = {trigger["authenticationRef"]["name"] for trigger in resource["spec"]["triggers"]}
        assert references == {
            other["metadata"]["name"] for other in all_resources() if other["kind"] == "TriggerAuthentication"
        }


def test_every_worker_and_the_api_are_scraped() -> None:
    ports = {
        (resource["spec"]["template"]["metadata"]["labels"][COMPONENT], port["name"])
        for resource in all_resources()
        if resource["kind"] == "Deployment"
        for container in resource["spec"]["template"]["spec"]["containers"]
        for port in container.get("ports", [])
    }
    scraped = {
        (component, endpoint["port"])
        for resource in all_resources()
        if resource["kind"] == "PodMonitor"
        for component in resource["spec"]["selector"]["matchExpressions"][0]["values"]
        for endpoint in resource["spec"]["podMetricsEndpoints"]
    }
    settings = dict(line.split("=") for line in (ROOT / "base" / "limpid.env").read_text().split())

    assert scraped == ports
    assert len(scraped) == 4
    assert {
        port["containerPort"]
        for spec in PODS.values()
        for container in spec["containers"]
        for port in container.get("ports", [])
        if port["name"] == "metrics"
    } == {int(settings["LIMPID_METRICS_PORT"])}


def test_no_secret_lies_in_the_folder() -> None:
    assert not [resource for resource in all_resources() if resource["kind"] == "Secret"]
    assert not [path for path in Path(ROOT).rglob("*.env") if "SECRET" in path.read_text().upper()]
