"""Renders k8s/, validates it and compares it and deploy/ with the code, then breaks copies of it and expects each fault to be found."""

import shutil
import sys
import tempfile
from pathlib import Path

import kubernetes_validate

import manifests
import observability
import render
from breaks import BREAKS, PROMQL_BREAKS
from facts import Facts

ROOT = Path(__file__).resolve().parents[2]
OVERLAYS = ("dev", "production")
# The oldest release whose fields are used (preStop sleep, unhealthyPodEvictionPolicy), and the newest the tool knows.
VERSIONS = ("1.32", "1.37")


def schema(objects):
    """What the API would refuse, in the words of its schema."""
    faults = []
    for o in objects:
        for version in VERSIONS:
            try:
                kubernetes_validate.validate(o, version, strict=True)
            except (kubernetes_validate.ValidationError, kubernetes_validate.SchemaNotFoundError) as error:
                faults.append(f"{o['kind']} {o['metadata']['name']}: Kubernetes {version}: {getattr(error, 'message', error)}")
    return faults


def faults_of(root, facts, with_schema):
    """Every fault of deploy/ and k8s/ under `root`, held against `facts`."""
    faults = []
    for overlay in OVERLAYS:
        objects = render.render(root / "k8s" / overlay)
        found = manifests.check(objects, facts) + (schema(objects) if with_schema else [])
        faults += [f"k8s/{overlay}: {fault}" for fault in found]
    return faults + observability.check(root, facts)


def can_fail(facts, breaks):
    """Makes one of `breaks` after another in a copy; answers those that nothing noticed."""
    unnoticed = []
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for part in ("deploy", "k8s"):
            shutil.copytree(ROOT / part, copy / part)
        for file, old, new, expected in breaks:
            path = copy / file
            whole = path.read_text()
            if old not in whole:
                unnoticed.append(f"{file}: {old!r} is not there to be broken")
                continue
            path.write_text(whole.replace(old, new, 1))
            try:
                found = faults_of(copy, facts, with_schema="Kubernetes" in expected)
            except ValueError as error:
                found = [str(error)]
            path.write_text(whole)
            if not any(expected in fault for fault in found):
                unnoticed.append(f"{file}: {old!r} became {new!r}, and nothing said {expected!r} but {found}")
    return unnoticed


def main():
    facts = Facts(ROOT)
    breaks = BREAKS + (PROMQL_BREAKS if observability.has_promtool() else [])
    faults = faults_of(ROOT, facts, with_schema=True)
    compared = [render.differs_from_kubectl(ROOT / "k8s" / overlay, render.render(ROOT / "k8s" / overlay)) for overlay in OVERLAYS]
    faults += [fault for found in compared for fault in found or []]
    if not faults:
        print(f"k8s: {' and '.join(OVERLAYS)} fit the schemas of Kubernetes {' and '.join(VERSIONS)} and the code")
        print("k8s: rendered as kubectl does" if None not in compared else "k8s: no kubectl on PATH to compare the rendering with")
        print("deploy: image, compose, alert rules, runbook and dashboards fit the code")
        promtool = "read by promtool" if observability.has_promtool() else "not read by anybody: there is no promtool"
        print(f"deploy: PromQL of alert rules and dashboards is {promtool}")
        faults = can_fail(facts, breaks)
    if faults:
        sys.exit("\n".join(f"deploy: {fault}" for fault in faults))
    print(f"deploy: {len(breaks)} broken copies are found out")


if __name__ == "__main__":
    main()
