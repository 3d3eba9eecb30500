//! Where in a message something stands: `question.assignee_ids[3]`.

use std::fmt;

/// A field of a message, and the fields it stands within. Built on the stack while a message is walked, written out only when asked.
#[derive(Clone, Copy)]
pub(crate) struct Path<'a> {
    pub(crate) within: Option<&'a Path<'a>>,
    pub(crate) field: &'static str,
    pub(crate) index: Option<usize>,
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(outer) = self.within {
            write!(f, "{outer}.")?;
        }
        f.write_str(self.field)?;
        self.index.map_or(Ok(()), |index| write!(f, "[{index}]"))
    }
}
