#!/bin/sh
# Makes what is generated and committed: `.sqlx` of each service (its SQL, checked against a database) and deploy/muster.example.toml.
#
# A private PostgreSQL is started for it by `cargo run --example database` of shared/devstack and stopped afterwards.
set -eu
cd "$(dirname "$0")/.."
export CARGO_TERM_COLOR=never

cargo build --quiet --package devstack --example database
cargo build --quiet --package db --bin migrate
fifo=$(mktemp -u) && mkfifo "$fifo"
target/debug/examples/database >"$fifo" &
database=$!
trap 'kill "$database" 2>/dev/null || true; rm -f "$fifo"' EXIT
read -r DATABASE_URL <"$fifo"
export DATABASE_URL

for service in identity authorization tasks audit notifications; do
    schema=$service
    [ "$service" = authorization ] && schema=authz
    target/debug/migrate "$schema=services/$service/migrations"
    rm -rf "services/$service/.sqlx"
    mkdir -p "services/$service/.sqlx"
    # The macros write what they learn from the database into SQLX_OFFLINE_DIR when they are expanded: touch makes them.
    touch "services/$service/src/lib.rs"
    SQLX_OFFLINE=false SQLX_OFFLINE_DIR="$PWD/services/$service/.sqlx" cargo check --quiet --package "$service"
done

cargo run --quiet --package muster -- config example >deploy/muster.example.toml
