//! Compiles protos that are partly in memory, the way the build script compiles `proto/`.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use prost_reflect::DescriptorPool;
use protox::{
    Compiler, Error,
    file::{ChainFileResolver, File, FileResolver, GoogleFileResolver, IncludeFileResolver},
};

/// Files by the name they are imported by.
pub(crate) struct Sources(pub(crate) BTreeMap<String, String>);

impl FileResolver for Sources {
    fn open_file(&self, name: &str) -> Result<File, Error> {
        let source = self.0.get(name).ok_or_else(|| Error::file_not_found(name))?;
        File::from_source(name, source)
    }
}

impl Sources {
    /// The descriptors of these files. What they import and don't hold comes from `proto/`.
    pub(crate) fn compile(self) -> Vec<u8> {
        let names: Vec<_> = self.0.keys().cloned().collect();
        let mut resolver = ChainFileResolver::new();
        resolver.add(self);
        resolver.add(IncludeFileResolver::new(proto_folder()));
        resolver.add(IncludeFileResolver::new(proto_folder().join("third_party")));
        resolver.add(GoogleFileResolver::new());
        let mut compiler = Compiler::with_file_resolver(resolver);
        compiler.include_imports(true).include_source_info(true).open_files(names).unwrap();
        compiler.encode_file_descriptor_set()
    }

    pub(crate) fn pool(self) -> DescriptorPool {
        DescriptorPool::decode(self.compile().as_slice()).unwrap()
    }

    /// The files of `muster/` below a folder of `proto/`.
    pub(crate) fn read(folder: &str) -> Self {
        let root = proto_folder().join(folder);
        let mut sources = BTreeMap::new();
        collect(&root, &root.join("muster"), &mut sources);
        Self(sources)
    }

    /// Replaces text that must be there, in the file of this name.
    pub(crate) fn edit(mut self, name: &str, from: &str, to: &str) -> Self {
        let source = self.0.get_mut(name).unwrap();
        assert!(source.contains(from), "{name} holds no {from}");
        *source = source.replacen(from, to, 1);
        self
    }
}

fn proto_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto")
}

fn collect(root: &Path, dir: &Path, sources: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, sources);
        } else {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            sources.insert(name, fs::read_to_string(&path).unwrap());
        }
    }
}
