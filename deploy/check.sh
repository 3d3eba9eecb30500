#!/bin/sh
# Holds deploy/ and k8s/ against the Kubernetes schemas and against the code, and shows that each check can fail. Run by `make check`.
# PyPI's kubernetes-validate (schemas and a YAML reader) comes into .muster/tools/kubernetes, once; and promtool, which reads PromQL, out of
# Debian's package of Prometheus, which is unpacked and not installed. Where it is neither there nor to be had, the check says that nobody read
# PromQL. Nothing else is fetched.
#
# kustomize is not asked for: no registry that a bare Debian 12 has offers a current one. deploy/check/render.py does what the kustomizations
# here use and refuses the rest; where kubectl is on PATH its rendering is compared.
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
if ! command -v promtool >/dev/null 2>&1 && [ ! -x .muster/tools/promtool ]; then
    folder=$(mktemp -d)
    if (cd "$folder" && apt-get download -qq prometheus && dpkg-deb --extract prometheus_*.deb .) >/dev/null 2>&1; then
        mv "$folder/usr/bin/promtool" .muster/tools/promtool
    fi
    rm -rf "$folder"
fi
export PATH="$PATH:$PWD/.muster/tools"
PYTHONDONTWRITEBYTECODE=1 exec "$tools/bin/python" deploy/check/main.py
