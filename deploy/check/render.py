"""Renders a kustomization: exactly the features that k8s/ uses, and an error for any other."""

import copy
import json
import shutil
import subprocess

import yaml

KNOWN = {"apiVersion", "kind", "resources", "namespace", "images", "patches"}
CLUSTER_WIDE = {"Namespace"}


def render(folder):
    """The objects of the kustomization in `folder`, in the order of its resources."""
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    unknown = set(kustomization) - KNOWN
    if unknown:
        raise ValueError(f"{folder}: the renderer does not know {', '.join(sorted(unknown))}")
    objects = []
    for resource in kustomization["resources"]:
        path = folder / resource
        objects += render(path) if path.is_dir() else [o for o in yaml.safe_load_all(path.read_text()) if o]
    objects = copy.deepcopy(objects)
    for patch in kustomization.get("patches", []):
        matched = [o for o in objects if matches(o, patch["target"])]
        if not matched:
            raise ValueError(f"{folder}: a patch meets nothing: {patch['target']}")
        for found in matched:
            for operation in yaml.safe_load(patch["patch"]):
                apply(found, operation)
    for o in objects:
        if "namespace" in kustomization and o["kind"] not in CLUSTER_WIDE:
            o["metadata"]["namespace"] = kustomization["namespace"]
        for container in containers(o):
            for image in kustomization.get("images", []):
                if container["image"] == image["name"]:
                    container["image"] = f"{image['newName']}:{image['newTag']}"
    return objects


def matches(o, target):
    return target["kind"] == o["kind"] and target.get("name", o["metadata"]["name"]) == o["metadata"]["name"]


def apply(o, operation):
    """One JSON patch operation, `add` or `replace` of a key."""
    *way, last = operation["path"].strip("/").split("/")
    for step in way:
        o = o[step]
    if operation["op"] not in ("add", "replace") or (operation["op"] == "replace" and last not in o):
        raise ValueError(f"can't apply {operation}")
    o[last] = operation["value"]


def containers(o):
    template = o.get("spec", {}).get("template", {})
    return template.get("spec", {}).get("containers", [])


def differs_from_kubectl(folder, objects):
    """What kubectl renders otherwise; None where there is no kubectl."""
    if not shutil.which("kubectl"):
        return None
    text = subprocess.run(["kubectl", "kustomize", folder], check=True, capture_output=True, text=True).stdout
    theirs = by_name(yaml.safe_load_all(text))
    ours = by_name(objects)
    return [f"{name} is not what kubectl renders" for name in sorted(set(ours) | set(theirs)) if ours.get(name) != theirs.get(name)]


def by_name(objects):
    return {f"{o['kind']}/{o['metadata']['name']}": json.dumps(o, sort_keys=True) for o in objects}
