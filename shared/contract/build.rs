//! Compiles `proto/` into this crate, with protox in place of protoc. What is checked and written lives in `build/`.
//!
//! The descriptors are kept as the raw bytes that protox writes: a `prost_types::FileDescriptorSet` loses custom options.

#[path = "build/mod.rs"]
mod build;

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use prost_reflect::DescriptorPool;

fn main() -> anyhow::Result<()> {
    let proto = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto");
    let (ours, third_party) = (proto.join("muster"), proto.join("third_party"));
    println!("cargo::rerun-if-changed={}", ours.display());
    println!("cargo::rerun-if-changed={}", third_party.display());
    println!("cargo::rerun-if-changed=build");

    // The details of errors are imported by nobody; clients that know the contract by reflection alone must be able to read them.
    let mut files = vec![third_party.join("grpc/health/v1/health.proto"), third_party.join("google/rpc/error_details.proto")];
    collect_protos(&ours, &mut files)?;
    files.sort();
    let mut compiler = protox::Compiler::new([&proto, &third_party])?;
    compiler.include_imports(true).include_source_info(true).open_files(&files)?;
    let pool = DescriptorPool::decode(compiler.encode_file_descriptor_set().as_slice())?;

    let out = PathBuf::from(env::var("OUT_DIR")?);
    let contract = build::read(&pool).map_err(anyhow::Error::msg)?;
    for (name, source) in contract.render() {
        fs::write(out.join(name), source).with_context(|| format!("write {name}"))?;
    }
    fs::write(out.join("descriptors.bin"), pool.encode_to_vec())?;

    let mut set = compiler.file_descriptor_set();
    // Options and details alone: no code comes of them.
    set.file.retain(|file| !file.package().starts_with("buf.") && !["google.api", "google.rpc"].contains(&file.package()));
    let mut prost = prost_build::Config::new();
    prost.enable_type_names().bytes(["."]);
    tonic_prost_build::configure().include_file("mod.rs").compile_fds_with_config(set, prost)?;
    Ok(())
}

/// Adds the `.proto` files below `dir` to `files`.
fn collect_protos(dir: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in fs::read_dir(dir).with_context(|| format!("read {}", dir.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            collect_protos(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            files.push(path);
        }
    }
    Ok(())
}
