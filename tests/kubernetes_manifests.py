"""What the Kustomize folders hold, read without a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent / "deploy" / "kubernetes"
KUBERNETES_VERSION = "1.33"
CUSTOM_KINDS = ("PodMonitor", "ScaledObject", "TriggerAuthentication")

Resource = dict[str, Any]


def kustomizations() -> list[Path]:
    """Every folder with a kustomization."""
    return sorted(path.parent for path in ROOT.rglob("kustomization.yaml"))


def resources_of(folder: Path) -> list[Resource]:
    """The resources that the kustomization in `folder` lists, in order; folders it refers to are left out."""
    listed = yaml.safe_load((folder / "kustomization.yaml").read_text()).get("resources", [])
    files = [folder / name for name in listed if (folder / name).is_file()]
    return [resource for path in files for resource in yaml.safe_load_all(path.read_text())]


def all_resources() -> list[Resource]:
    """The resources of all folders."""
    return [resource for folder in kustomizations() for resource in resources_of(folder)]


def pod_specs() -> Iterator[tuple[str, Resource]]:
    """Name and Pod specification of everything that runs."""
    for resource in all_resources():
        if resource["kind"] in ("Deployment", "Job"):
            yield resource["metadata"]["name"], resource["spec"]["template"]["spec"]


def scaling_queries() -> list[str]:
    """The SQL by which KEDA scales."""
    return [
        trigger["metadata"]["query"]
        for resource in all_resources()
        if resource["kind"] == "ScaledObject"
        for trigger in resource["spec"]["triggers"]
        if trigger["type"] == "postgresql"
    ]
