#!/bin/sh
# Holds proto/ against buf's rules and against what was released, and shows that the check can fail. One line each; run by `make check`.
# buf comes from npm into .muster/tools/buf, once. Nothing else is fetched: third-party protos are in proto/third_party.
set -eu
cd "$(dirname "$0")/.."

version=1.75.0
tools=$PWD/.muster/tools/buf
buf=$tools/node_modules/.bin/buf
export BUF_CACHE_DIR="$tools/cache"
if [ "$("$buf" --version 2>/dev/null || true)" != "$version" ]; then
    command -v npm >/dev/null || { echo "proto: npm is missing; install nodejs and npm, or put buf $version at $buf" >&2; exit 1; }
    mkdir -p "$tools"
    npm install --silent --no-audit --no-fund --no-save --ignore-scripts --prefix "$tools" "@bufbuild/buf@$version"
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# What was released, laid out as the workspace is: buf compares a directory with a directory.
mkdir -p "$work/released/proto"
cp buf.yaml "$work/released/"
cp -R proto/released/v1/muster proto/third_party "$work/released/proto/"

"$buf" lint
echo "proto: lint"
"$buf" format --diff --exit-code --path proto/muster
echo "proto: format"
"$buf" breaking --against "$work/released"
echo "proto: nothing released is broken"

# The same check must be red when a released field goes.
file=proto/muster/tasks/v1/product.proto
field='  string display_name = 4;'
cp -R "$work/released" "$work/broken"
grep -v -x -F "$field" "$work/released/$file" >"$work/broken/$file"
if answer=$("$buf" breaking "$work/broken" --against "$work/released" 2>&1); then
    echo "proto: $field was taken out of $file, and buf breaking did not say so" >&2
    exit 1
fi
case $answer in
*'"display_name"'*deleted*) echo "proto: a field taken away is found" ;;
*) echo "proto: buf breaking failed for another reason: $answer" >&2; exit 1 ;;
esac
