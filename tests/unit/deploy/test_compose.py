"""The compose file: one place for images, nothing reachable from elsewhere, containers that may do little."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.documentation.pages import ROOT

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OWN = {name: service for name, service in SERVICES.items() if str(service["image"]).startswith("limpid-")}
DEFAULT = re.compile(r"\$\{(\w+):-([^}]*)\}$")


def test_every_public_image_stands_at_the_head_of_the_file() -> None:
    named = {}
    for value in COMPOSE["x-images"].values():
        match = DEFAULT.match(value)
        assert match, value
        named[match[1]] = match[2]
    in_dockerfiles = {
        (dockerfile.name, argument): default
        for dockerfile in ROOT.glob("Dockerfile.*")
        for argument, default in re.findall(
            r"^ARG (\w+_IMAGE)=(\S+)$", dockerfile.read_text(encoding="utf-8"), re.MULTILINE
        )
    }

    assert all(":" in image.rpartition("/")[2] for image in named.values())  # a tag
    assert len(in_dockerfiles) == 3
    for (_, argument), default in in_dockerfiles.items():
        assert named[argument] == default
    for service in SERVICES.values():
        if "build" in service:
            taken = {argument for name, argument in in_dockerfiles if name == service["build"]["dockerfile"]}
            assert {name for name in service["build"]["args"] if name.endswith("_IMAGE")} == taken
        else:
            assert service["image"] in COMPOSE["x-images"].values()


def test_ports_are_published_on_this_machine_only() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]

    assert len(ports) == 4
    assert all(port.startswith("127.0.0.1:") for port in ports)


@pytest.mark.parametrize("name", sorted(OWN))
def test_our_containers_write_to_volumes_only_and_gain_no_rights(name: str) -> None:
    service = OWN[name]

    assert service["read_only"] is True
    assert service["tmpfs"] == ["/tmp"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["restart"] == ("on-failure" if name == "migrate" else "unless-stopped")


def test_services_that_others_need_come_back_and_are_watched() -> None:
    for name in ("postgres", "redis", "s3"):
        assert SERVICES[name]["restart"] == "unless-stopped"
        assert "healthcheck" in SERVICES[name]
    assert "healthcheck" in SERVICES["api"]


def test_every_named_volume_is_declared_and_used() -> None:
    mounted = {volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])}
    named = {name for name in mounted if re.fullmatch(r"[a-z]\w*", name)}

    assert named == set(COMPOSE["volumes"])


@pytest.mark.parametrize("dockerfile", sorted(ROOT.glob("Dockerfile.*")), ids=lambda path: path.name)
def test_images_run_without_root_and_check_their_packages(dockerfile: Path) -> None:
    text = dockerfile.read_text(encoding="utf-8")

    assert re.search(r"^USER limpid$", text.rpartition("\nFROM ")[2], re.MULTILINE)
    assert "--uid 10001" in text
    assert "pip check" in text
