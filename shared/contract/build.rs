//! Compiles `proto/` with protox (no protoc).
use std::{env, fs, path::{Path, PathBuf}};

fn main() -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto");
    let third_party = root.join("third_party");
    println!("cargo::rerun-if-changed={}", root.display());
    let mut files = Vec::new();
    protos(&root.join("muster"), &mut files)?;
    files.push(third_party.join("grpc/health/v1/health.proto"));
    files.sort();
    let mut compiler = protox::Compiler::new([&root, &third_party])?;
    compiler.include_imports(true).include_source_info(true).open_files(&files)?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptors.bin"), compiler.encode_file_descriptor_set())?;
    let mut set = compiler.file_descriptor_set();
    set.file.retain(|f| !f.package().starts_with("buf.") && f.package() != "google.api");
    let mut prost = prost_build::Config::new();
    prost.enable_type_names().bytes(["."]);
    tonic_prost_build::configure()
        .include_file("mod.rs")
        .compile_fds_with_config(set, prost)?;
    Ok(())
}

fn protos(dir: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() { protos(&path, files)?; } else if path.extension().is_some_and(|e| e == "proto") { files.push(path); }
    }
    Ok(())
}
