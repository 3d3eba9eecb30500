//! Where something stands in `proto/`, and what is said when it can't stay.

use std::fmt;

use prost_reflect::{
    EnumDescriptor, EnumValueDescriptor, FieldDescriptor, FileDescriptor, MessageDescriptor, MethodDescriptor, OneofDescriptor,
};

/// Something of a `.proto` file that a refusal can point at.
pub(crate) trait Placed {
    fn file(&self) -> FileDescriptor;
    /// Its path in the file's descriptor, as source locations have it.
    fn path(&self) -> &[i32];
    fn full_name(&self) -> &str;
}

macro_rules! placed {
    ($($descriptor:ty),+) => {$(
        impl Placed for $descriptor {
            fn file(&self) -> FileDescriptor {
                self.parent_file()
            }
            fn path(&self) -> &[i32] {
                <$descriptor>::path(self)
            }
            fn full_name(&self) -> &str {
                <$descriptor>::full_name(self)
            }
        }
    )+};
}
placed!(EnumDescriptor, EnumValueDescriptor, FieldDescriptor, MessageDescriptor, MethodDescriptor, OneofDescriptor);

/// Everything that is wrong with the contract, each with its file and line; all of it is told at once.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Vec<String>);

impl Refusals {
    /// Refuses `what` for `why`.
    pub(crate) fn add(&mut self, what: &impl Placed, why: impl fmt::Display) {
        let (file, name) = (what.file(), what.full_name());
        self.0.push(format!("proto/{}:{}: {name}: {why}", file.name(), line(&file, what.path())));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the contract is refused:\n{}", self.0.join("\n"))
    }
}

/// The line, from 1, on which the thing at `path` begins; 0 when the descriptors carry no source information.
fn line(file: &FileDescriptor, path: &[i32]) -> i32 {
    let info = file.file_descriptor_proto().source_code_info.as_ref();
    let location = info.and_then(|info| info.location.iter().find(|location| location.path == path));
    location.and_then(|location| location.span.first()).map_or(0, |line| line + 1)
}
