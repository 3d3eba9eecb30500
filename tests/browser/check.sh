#!/bin/sh
# Calls a running suite with the official gRPC-Web clients, from Node and from a page in a headless Chromium. Run by `make check`.
# What it needs comes from npm, in the versions of package-lock.json; buf comes with proto/check.sh, Chromium with deploy/bare-machine.sh.
set -eu
cd "$(dirname "$0")"
root=$PWD/../..
buf=$root/.muster/tools/buf/node_modules/.bin/buf

command -v npm >/dev/null || { echo "browser: npm is missing; install nodejs and npm" >&2; exit 1; }
chromium=$(command -v chromium) || { echo "browser: chromium is missing; install it" >&2; exit 1; }
[ -x "$buf" ] || "$root/proto/check.sh"
if ! cmp -s package-lock.json node_modules/.of; then
    npm ci --silent --no-audit --no-fund --ignore-scripts
    cp package-lock.json node_modules/.of
fi
(cd "$root" && cargo build --quiet --package muster)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
# PostgreSQL runs as another user when this is root, and reads its data in here.
chmod 755 "$work"
(cd "$root" && "$buf" build --output "$work/descriptors.binpb")
MUSTER=${CARGO_TARGET_DIR:-$root/target}/debug/muster CHROMIUM=$chromium node check.mjs "$work"
