"""Kustomize itself on our manifests: they build, alone and with every component, to what the API takes."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.kubernetes_manifests import CUSTOM_KINDS, KUBERNETES_VERSION, ROOT

COMPONENTS = sorted(path.parent for path in (ROOT / "components").glob("*/kustomization.yaml"))

pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not on PATH")


def build(folder: Path) -> list[dict[str, Any]]:
    """The resources that `kubectl kustomize` makes of a folder; no cluster is asked."""
    done = subprocess.run(["kubectl", "kustomize", str(folder)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def overlay(folder: Path) -> Path:
    """An overlay in `folder`, as the one for production, but with every component."""
    text = {
        "namespace": yaml.safe_load((ROOT / "overlays/production/kustomization.yaml").read_text())["namespace"],
        "resources": [os.path.relpath(ROOT / "base", folder)],
        "components": [os.path.relpath(component, folder) for component in COMPONENTS],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(text))
    return folder


def test_every_folder_builds_to_valid_resources(tmp_path: Path) -> None:
    for folder in (ROOT / "base", ROOT / "overlays/production", overlay(tmp_path)):
        resources = build(folder)

        assert len(resources) >= 11
        for resource in resources:
            if resource["kind"] not in CUSTOM_KINDS:
                kubernetes_validate.validate(resource, KUBERNETES_VERSION, strict=True)


def test_what_is_built_refers_to_what_is_built(tmp_path: Path) -> None:
    resources = build(overlay(tmp_path))
    names = {(resource["kind"], resource["metadata"]["name"]) for resource in resources}
    pods = [resource["spec"]["template"]["spec"] for resource in resources if resource["kind"] in ("Deployment", "Job")]
    maps = {
        source["configMapRef"]["name"]
        for pod in pods
        for container in pod["containers"]
        for source in container["envFrom"]
        if "configMapRef" in source
    }
    claims = {
        volume["persistentVolumeClaim"]["claimName"]
        for pod in pods
        for volume in pod["volumes"]
        if "persistentVolumeClaim" in volume
    }

    assert len(pods) >= 6
    assert {("ConfigMap", name) for name in maps} <= names
    assert {("PersistentVolumeClaim", name) for name in claims} <= names
    assert {("ServiceAccount", pod["serviceAccountName"]) for pod in pods} <= names
    assert {resource["metadata"].get("namespace") for resource in resources if resource["kind"] != "Namespace"} == {
        "limpid"
    }
