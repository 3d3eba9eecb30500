#!/bin/sh
# Holds deploy/ and k8s/ against the Kubernetes schemas and against the code, and shows that each check can fail. Run by `make check`.
# PyPI's kubernetes-validate (schemas and a YAML reader) comes into .muster/tools/kubernetes, once. Nothing else is fetched.
#
# kustomize is not asked for: no registry that a bare Debian 12 has offers a current one. deploy/check/render.py does what the kustomizations
# here use and refuses the rest; where kubectl is on PATH its rendering is compared, and where promtool is, it reads the alert rules.
set -eu
cd "$(dirname "$0")/.."

version=1.37.0
tools=$PWD/.muster/tools/kubernetes
if [ "$(cat "$tools/version" 2>/dev/null || true)" != "$version" ]; then
    python3 -c 'import ensurepip' 2>/dev/null || { echo "deploy: python3-venv is missing; install it" >&2; exit 1; }
    rm -rf "$tools"
    python3 -m venv "$tools"
    "$tools/bin/pip" install --quiet --disable-pip-version-check "kubernetes-validate==$version"
    echo "$version" >"$tools/version"
fi
PYTHONDONTWRITEBYTECODE=1 exec "$tools/bin/python" deploy/check/main.py
