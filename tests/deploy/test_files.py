"""The files to deploy with agree with each other, and with what the program is."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.files import COMPOSE, FOLDER, dockerfile, environment_of, manifest, manifests, unit

ROOT = Path(__file__).parents[2]
UNIT = FOLDER / "systemd/shop-worker@.service"
CONFIG = manifest("ConfigMap", "shop")["data"]
SYSTEMD = dict(
    line.split("=", 1)
    for line in (FOLDER / "systemd/shop.env").read_text().splitlines()
    if line and not line.startswith("#")
)
# What a worker needs between its `shutdown_timeout` and its end: docs/how-to/run-workers.md.
ENDS_WITHIN_S = 10


def pods() -> dict[str, dict[str, Any]]:
    """Return what runs in Kubernetes: the pod of each object that makes some."""
    making = [one for one in manifests() if "template" in one.get("spec", {})]
    return {one["metadata"]["name"]: one["spec"]["template"]["spec"] for one in making}


def test_each_kills_a_worker_ten_seconds_after_its_shutdown_timeout_and_not_before() -> None:
    waits = {
        "compose": (COMPOSE["services"]["worker"]["stop_grace_period"].rstrip("s"), environment_of("worker")),
        "kubernetes": (pods()["worker"]["terminationGracePeriodSeconds"], CONFIG),
        "systemd": (unit(UNIT)["Service"]["TimeoutStopSec"], SYSTEMD),
    }
    for where, (grace, settings) in waits.items():
        assert int(grace) == int(settings["ASYNCJOBS_SHUTDOWN_TIMEOUT"]) + ENDS_WITHIN_S, where


def test_each_serves_the_queues_that_the_jobs_name() -> None:
    named = re.findall(r'queue="(\w+)"', (FOLDER / "shop/jobs.py").read_text())
    assert len(named) == 3
    for settings in (environment_of("worker"), CONFIG, SYSTEMD):
        assert settings["ASYNCJOBS_QUEUES"].split(",") == named


def test_the_autoscaler_asks_for_the_queues_and_counts_the_slots_of_one_worker() -> None:
    [trigger] = manifest("ScaledObject", "worker")["spec"]["triggers"]
    assert f"queue={CONFIG['ASYNCJOBS_QUEUES']}&" in trigger["metadata"]["url"]
    assert trigger["metadata"]["targetValue"] == CONFIG["ASYNCJOBS_CONCURRENCY"]
    assert "replicas" not in manifest("Deployment", "worker")["spec"]


def test_compose_and_kubernetes_run_the_same_commands() -> None:
    for name in ("web", "dashboard"):
        assert pods()[name]["containers"][0]["args"] == COMPOSE["services"][name]["command"]
    # The worker is what the image runs by itself.
    assert "args" not in pods()["worker"]["containers"][0]
    assert "command" not in COMPOSE["services"]["worker"]
    assert COMPOSE["services"]["worker"]["deploy"]["replicas"] == 3


def test_the_probes_are_those_of_a_worker_on_the_port_that_the_image_gives_them() -> None:
    [command] = [one.words for one in dockerfile() if one.verb == "CMD"]
    [container] = pods()["worker"]["containers"]
    port = command[command.index("--health-port") + 1]
    assert container["ports"] == [{"name": "health", "containerPort": int(port)}]
    assert container["livenessProbe"]["httpGet"] == {"path": "/livez", "port": "health"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "health"}
    [health] = [one.words for one in dockerfile() if one.verb == "HEALTHCHECK"]
    assert health == ["asyncjobs", "health", "--health-port", port]


def test_nothing_of_ours_runs_as_root_or_may_become_it() -> None:
    assert [one.rest.isdigit() and int(one.rest) > 0 for one in dockerfile() if one.verb == "USER"] == [True]
    for name, pod in pods().items():
        assert pod["securityContext"]["runAsNonRoot"], name
        for container in pod["containers"]:
            assert container["securityContext"]["allowPrivilegeEscalation"] is False, name
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}, name


def test_redis_keeps_what_it_has_accepted_and_evicts_nothing() -> None:
    for words in (COMPOSE["services"]["redis"]["command"], pods()["redis"]["containers"][0]["args"]):
        line = " ".join(words)
        assert "--appendonly yes" in line
        assert "--maxmemory-policy noeviction" in line


def test_each_secret_and_setting_that_a_manifest_takes_is_made() -> None:
    told = (FOLDER / "k8s/kustomization.yaml").read_text()
    for one in manifests():
        text = yaml.safe_dump(one)
        for name in re.findall(r"secretKeyRef:\s+key: (\w+)", text):
            assert f"--from-literal={name}=" in told, one["metadata"]["name"]
    for ref in manifest("TriggerAuthentication", "scale")["spec"]["secretTargetRef"]:
        assert f"--from-literal={ref['key']}=" in told
    for ref in manifest("TriggerAuthentication", "scale")["spec"]["configMapTargetRef"]:
        assert ref["key"] in CONFIG


def test_the_build_gets_what_the_dockerfile_copies() -> None:
    admitted = {
        line.removeprefix("!") for line in (FOLDER / ".dockerignore").read_text().splitlines() if line.startswith("!")
    }
    copied = {
        word
        for one in dockerfile()
        if one.verb == "COPY" and not one.rest.startswith("--from")
        for word in one.rest.split()[:-1]
    }
    assert copied == admitted


def test_the_page_makes_what_the_unit_needs() -> None:
    page, service = (ROOT / "docs/how-to/deploy.md").read_text(), unit(UNIT)["Service"]
    environment = Path(service["ExecStart"].split()[0]).parent.parent
    assert re.search(rf"(?m)^useradd .* {service['User']}$", page)
    assert f"python3 -m venv {environment}\n" in page
    assert f"cp -r shop {service['WorkingDirectory']}/\n" in page
    assert f"/{UNIT.name} /etc/systemd/system/\n" in page
    assert f" {service['EnvironmentFile']}\n" in page


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    # It wants the program to be there.
    program = tmp_path / "asyncjobs"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    copy = tmp_path / UNIT.name
    text, count = re.subn(r"(?m)^ExecStart=\S+", f"ExecStart={program}", UNIT.read_text())
    assert count == 1
    copy.write_text(text)
    done = subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, text=True, timeout=30)
    assert (done.returncode, str(copy) in done.stderr, UNIT.stem in done.stderr) == (0, False, False), done.stderr
    assert unit(UNIT)["Service"]["KillMode"] == "mixed"
