# Two commands: `make up` and `make test`. The others are for whoever changes the code.
.PHONY: up test check fmt gen bench chaos fuzz tools
export CARGO_TERM_COLOR ?= auto

up: tools          ## build and run the whole suite on this machine; Ctrl-C stops it
	@cargo build --package muster
	@exec target/debug/muster up

test: tools        ## every test
	cargo test --workspace --no-fail-fast

check: tools       ## format, lints, contract checks, manifests, browsers' clients
	@deploy/bare-machine.sh check
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	proto/check.sh
	deploy/check.sh
	tests/browser/check.sh

fmt:               ## format Rust and protobuf
	cargo fmt --all

gen: tools         ## what is generated and committed: .sqlx, deploy/muster.example.toml
	deploy/generate.sh

bench:             ## figures, as ratios to floors of the same run
	@deploy/bare-machine.sh bench
	cargo build --release --quiet --package muster
	target/release/muster bench

# kill.rs of services/muster, tenants.rs and cancellation.rs of shared/db, leader.rs and crash.rs of shared/events look at MUSTER_SOAK.
chaos: tools       ## every test, its fault runs long: 2,000 kills, 10^5 tenant calls, a leader frozen for 30 s
	MUSTER_SOAK=1 cargo test --workspace --no-fail-fast -- --nocapture

fuzz:              ## a fuzzer at each decoder of what strangers hand in, for FUZZ_SECONDS (60)
	@deploy/bare-machine.sh fuzz
	fuzz/run.sh

tools:
	@deploy/bare-machine.sh
