//! List filters: the subset of AIP-160 that every List method takes, rendered to SQL with bound parameters.
//!
//! `state = "OPEN" AND (create_time >= 2026-01-01T00:00:00Z OR title:"shed") AND NOT assignee_ids:01890a5d-…`
//! - operators `=` `!=` `<` `<=` `>` `>=`, and `:` (has: a part of a text, a member of a list, `:*` anything at all);
//! - `AND`, `OR`, `NOT` or `-`, parentheses. As AIP-160 has it, OR binds tighter than AND.
//!
//! A field is one of the columns that the list names; its SQL is a constant of ours, and a value only ever becomes a bound parameter.
//! Deliberately absent: functions, bare words that search everything, wildcards, and comparing two fields.
//! Source: <https://google.aip.dev/160>.

mod lex;
mod parse;
mod value;

use sqlx::{Postgres, QueryBuilder};

use crate::Error;
pub(crate) use value::Value;

/// The longest filter, in characters, as `max_len` counts them.
pub const FILTER_LENGTH_MAX: usize = 1000;
/// How deep parentheses and negations may nest.
pub const FILTER_DEPTH_MAX: usize = 8;
/// How many comparisons a filter may make.
pub const FILTER_TERMS_MAX: usize = 50;

/// A field that a list may be filtered and, unless it is a list itself, ordered by.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// The field's name in the resource's message.
    pub name: &'static str,
    /// The SQL expression it stands for: `w.state`.
    pub sql: &'static str,
    /// What its values are.
    pub kind: Kind,
}

impl Column {
    /// The field `name`, which stands for the expression `sql`.
    pub const fn new(name: &'static str, sql: &'static str, kind: Kind) -> Self {
        Column { name, sql, kind }
    }
}

/// What a column's values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `uuid`; compared for equality.
    Uuid,
    /// `text`; `:` finds a part of it, whatever the case.
    Text,
    /// A name on the wire for each value in the column; compared for equality.
    Enum(&'static [(&'static str, EnumValue)]),
    /// `timestamptz`, written as RFC 3339.
    Time,
    /// `bigint`, `integer` or `smallint`.
    Int,
    /// `boolean`; compared for equality.
    Bool,
    /// `uuid[]`; `:` finds a member.
    UuidArray,
    /// `text[]`; `:` finds a member.
    TextArray,
    /// `bytea`, a [blind index](crate::Sealer::blind_index) of a sealed text; compared for equality, through [`Filter::parse_blind`] alone.
    Blind,
}

/// How an enum's value stands in its column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnumValue {
    /// `smallint`.
    Int(i16),
    /// `text`.
    Text(&'static str),
}

/// Gives the blind index of a text for the column of a name.
type Blind<'a> = dyn Fn(&'static str, &str) -> [u8; 32] + 'a;

/// A filter that was read and is ready to become SQL. The empty filter lets everything pass.
#[derive(Clone, Debug)]
pub struct Filter(Option<Node>);

#[derive(Clone, Debug)]
pub(crate) enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    Compare(&'static str, Compare),
}

#[derive(Clone, Debug)]
pub(crate) enum Compare {
    /// `sql <operator> $1`.
    With(&'static str, Value),
    /// The text holds a part, whatever the case.
    Contains(String),
    /// The list has a member.
    Member(Value),
    /// There is a value.
    Present,
    /// There is a member.
    Inhabited,
}

impl Filter {
    /// Reads `text` against the fields a list has; empty text is the empty filter.
    ///
    /// # Errors
    /// `FILTER_INVALID` with the position of the first fault, counted in characters from 1. What was written is not repeated.
    pub fn parse(text: &str, columns: &[Column]) -> Result<Self, Error> {
        Self::parse_with(text, columns, None)
    }

    /// As [`Filter::parse`], for a list with columns of [`Kind::Blind`]: `index` gives the blind index of a text for the column it names.
    ///
    /// # Errors
    /// As [`Filter::parse`].
    pub fn parse_blind(text: &str, columns: &[Column], index: impl Fn(&'static str, &str) -> [u8; 32]) -> Result<Self, Error> {
        Self::parse_with(text, columns, Some(&index))
    }

    fn parse_with(text: &str, columns: &[Column], blind: Option<&Blind<'_>>) -> Result<Self, Error> {
        let fault = |fault: lex::Fault| Error::FilterInvalid { position: fault.position, problem: fault.problem };
        parse::parse(text, columns, blind).map(Filter).map_err(fault)
    }

    /// Whether everything passes.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Adds ` AND (…)` to a query that has a WHERE clause; nothing for the empty filter.
    pub fn push(&self, query: &mut QueryBuilder<Postgres>) {
        if let Some(node) = &self.0 {
            query.push(" AND ");
            node.push(query);
        }
    }
}

impl Node {
    fn push(&self, query: &mut QueryBuilder<Postgres>) {
        match self {
            Node::All(nodes) => joined(nodes, " AND ", query),
            Node::Any(nodes) => joined(nodes, " OR ", query),
            // A comparison with NULL is NULL, and so would be its negation: the row would be in neither list.
            Node::Not(node) => {
                query.push("(");
                node.push(query);
                query.push(" IS NOT TRUE)");
            }
            Node::Compare(sql, compare) => {
                query.push("(");
                compare.push(sql, query);
                query.push(")");
            }
        }
    }
}

fn joined(nodes: &[Node], word: &str, query: &mut QueryBuilder<Postgres>) {
    query.push("(");
    for (index, node) in nodes.iter().enumerate() {
        if index > 0 {
            query.push(word);
        }
        node.push(query);
    }
    query.push(")");
}

impl Compare {
    fn push(&self, sql: &'static str, query: &mut QueryBuilder<Postgres>) {
        match self {
            Compare::With(operator, value) => {
                query.push(sql).push(operator);
                value.push(query);
            }
            Compare::Contains(part) => {
                query.push("position(lower(").push_bind(part.clone()).push(") in lower(").push(sql).push(")) > 0");
            }
            Compare::Member(value) => {
                value.push(query);
                query.push(" = ANY (").push(sql).push(")");
            }
            Compare::Present => {
                query.push(sql).push(" IS NOT NULL");
            }
            Compare::Inhabited => {
                query.push("cardinality(").push(sql).push(") > 0");
            }
        }
    }
}
