"""Checks of kubectl commands without a cluster: they name what our manifests make, and secrets that these read."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import Any

import yaml

from core.settings import Settings
from tests.documentation.pages import ROOT
from tests.documentation.programs import check_limpid
from tests.kubernetes_manifests import ROOT as MANIFESTS
from tests.kubernetes_manifests import all_resources, pod_specs

_SUBSTITUTION = re.compile(r"\$\((kubectl .+)\)$")
_KINDS = {"deploy": "Deployment", "job": "Job"}


def check_kubectl(words: Sequence[str]) -> None:
    """`kubectl WORDS` fits the manifests in deploy/kubernetes."""
    rest = [*words]
    if rest[0] == "-n":
        assert rest[1] == _namespace()
        rest = rest[2:]
    match rest:
        case ["create", "namespace", name]:
            assert name == _namespace()
        case ["create", "secret", "generic", name, *literals]:
            _check_secret(name, literals)
        case ["apply", "-k", folder]:
            assert (ROOT / folder / "kustomization.yaml").is_file()
        case ["exec", target, "--", "limpid", *arguments]:
            _check_target(target)
            check_limpid(arguments)
        case ["delete" | "rollout", *_, target]:
            _check_target(target)
        case _:
            raise AssertionError(f"kubectl {shlex.join(words)}: nothing here can check it")


def _check_secret(name: str, literals: Sequence[str]) -> None:
    """Every key is a setting, where Pods take the whole secret as environment, or is read by name."""
    keys = set()
    for literal in literals:
        option, _, pair = literal.partition("=")
        key, _, value = pair.partition("=")
        assert option == "--from-literal"
        keys.add(key)
        if nested := _SUBSTITUTION.match(value):
            check_kubectl(shlex.split(nested[1])[1:])
    as_environment = any(
        source.get("secretRef", {}).get("name") == name
        for _, spec in pod_specs()
        for container in spec["containers"]
        for source in container["envFrom"]
    )
    settings = {f"LIMPID_{field.upper()}" for field in Settings.model_fields} if as_environment else set()
    assert keys <= settings | set(_keys_read(name, all_resources()))
    assert set(_keys_read(name, all_resources())) <= keys


def _keys_read(name: str, node: Any) -> list[str]:  # noqa: ANN401 - YAML
    """The keys of secret `name` that resources refer to."""
    if isinstance(node, list):
        return [key for each in node for key in _keys_read(name, each)]
    if not isinstance(node, dict):
        return []
    own = [node["key"]] if node.get("name") == name and "key" in node else []
    return [*own, *(key for value in node.values() for key in _keys_read(name, value))]


def _check_target(target: str) -> None:
    kind, _, name = target.partition("/")
    assert (_KINDS[kind], name) in {(each["kind"], each["metadata"]["name"]) for each in all_resources()}, target


def _namespace() -> str:
    return str(yaml.safe_load((MANIFESTS / "base/kustomization.yaml").read_text(encoding="utf-8"))["namespace"])
