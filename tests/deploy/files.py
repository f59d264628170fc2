"""Reads the files of ``examples/deploy`` as Docker, Compose, Kubernetes and systemd read them."""

from __future__ import annotations

import configparser
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests.examples import EXAMPLES

__all__ = ["COMPOSE", "FOLDER", "Instruction", "dockerfile", "environment_of", "manifest", "manifests", "unit"]

FOLDER = EXAMPLES / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text())


class Instruction(NamedTuple):
    """An instruction of a Dockerfile."""

    verb: str
    rest: str

    @property
    def words(self) -> list[str]:
        """The words of the exec form that it ends with."""
        found: list[str] = json.loads(self.rest[self.rest.index("[") :])
        return found


def dockerfile() -> list[Instruction]:
    """Return the instructions of the Dockerfile, without comments, each on one line."""
    text = re.sub(r"^#.*\n", "", (FOLDER / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\s*\\\n\s*", " ", text).splitlines()
    return [Instruction(*line.split(" ", 1)) for line in lines if line]


def environment_of(service: str) -> dict[str, str]:
    """Return the environment of a service of Compose, where nothing outside sets a variable."""
    given: dict[str, str] = COMPOSE["services"][service].get("environment", {})
    return {name: re.sub(r"\$\{\w+:-(.*)\}", r"\1", value) for name, value in given.items()}


def manifests() -> list[dict[str, Any]]:
    """Return the objects that the kustomization names, in its order."""
    kustomization = yaml.safe_load((FOLDER / "k8s/kustomization.yaml").read_text())
    return [
        one for name in kustomization["resources"] for one in yaml.safe_load_all((FOLDER / "k8s" / name).read_text())
    ]


def manifest(kind: str, name: str) -> dict[str, Any]:
    """Return the one object of a kind and a name."""
    [found] = [one for one in manifests() if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    return found


def unit(path: Path) -> configparser.ConfigParser:
    """Return a unit of systemd, whose values have no ``%`` for us."""
    parsed = configparser.ConfigParser(interpolation=None, comment_prefixes=("#",), delimiters=("=",))
    parsed.optionxform = str  # type: ignore[assignment, method-assign]
    parsed.read_string(path.read_text())
    return parsed
