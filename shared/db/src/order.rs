//! The order of a list: one field of its columns, completed by the id so that no two rows are equal.
//!
//! Deliberately absent: orders by several fields; each would need an index of its own.

use crate::Error;
use crate::filter::{Column, Kind};

/// By which column a list is ordered, and in which direction.
///
/// A column, no expression: behind row security Postgres looks up no place in an index by an expression that is not leak-proof (`coalesce`,
/// `left`), and a deep page would cost as many rows as lie before it. Put the expression into a generated column. A text holds at most 128
/// characters, so that a page token stays short; a CHECK says so, or what it is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    pub(crate) sql: &'static str,
    pub(crate) kind: Kind,
    pub(crate) id_sql: &'static str,
    pub(crate) descending: bool,
}

impl Order {
    /// Rising by `sql`, which is never NULL, then by the id column `id_sql`.
    pub const fn asc(sql: &'static str, kind: Kind, id_sql: &'static str) -> Self {
        Order { sql, kind, id_sql, descending: false }
    }

    /// Falling by `sql`, which is never NULL, then by the id column `id_sql`.
    pub const fn desc(sql: &'static str, kind: Kind, id_sql: &'static str) -> Self {
        Order { sql, kind, id_sql, descending: true }
    }

    /// Reads `text` as AIP-132 has it, `create_time` or `create_time desc`; `default` when it is empty. `columns` are the fields a list
    /// may be ordered by; one that may be NULL is no such field.
    ///
    /// # Errors
    /// `ORDER_INVALID`: an unknown field, a second field, or another word than `asc` or `desc`.
    pub fn parse(text: &str, columns: &[Column], default: Order) -> Result<Self, Error> {
        let mut words = text.split_ascii_whitespace();
        let Some(name) = words.next() else { return Ok(default) };
        let descending = match words.next() {
            None | Some("asc") => false,
            Some("desc") => true,
            Some(_) => return Err(Error::OrderInvalid),
        };
        let column = columns.iter().find(|column| column.name == name && orderable(column.kind)).ok_or(Error::OrderInvalid)?;
        if words.next().is_some() {
            return Err(Error::OrderInvalid);
        }
        Ok(Order { sql: column.sql, kind: column.kind, id_sql: default.id_sql, descending })
    }
}

/// The longest text that a cursor carries, in characters.
pub(crate) const TEXT_MAX: usize = 128;

fn orderable(kind: Kind) -> bool {
    matches!(kind, Kind::Uuid | Kind::Text | Kind::Time | Kind::Int)
}

#[cfg(test)]
mod tests {
    use super::*;

    static COLUMNS: &[Column] = &[
        Column::new("create_time", "w.create_time", Kind::Time),
        Column::new("title", "w.title", Kind::Text),
        Column::new("tags", "w.tags", Kind::TextArray),
    ];
    const DEFAULT: Order = Order::asc("w.create_time", Kind::Time, "w.work_item_id");

    #[test]
    fn an_empty_order_is_the_default() {
        assert_eq!(Order::parse("  ", COLUMNS, DEFAULT).unwrap(), DEFAULT);
    }

    #[test]
    fn a_field_orders_both_ways_and_keeps_the_id() {
        assert_eq!(Order::parse("title desc", COLUMNS, DEFAULT).unwrap(), Order::desc("w.title", Kind::Text, "w.work_item_id"));
        assert_eq!(Order::parse("title asc", COLUMNS, DEFAULT).unwrap(), Order::asc("w.title", Kind::Text, "w.work_item_id"));
    }

    #[test]
    fn other_orders_are_refused() {
        for text in ["owner", "tags", "title up", "title desc x", "title,create_time", "title; DROP TABLE w"] {
            assert!(matches!(Order::parse(text, COLUMNS, DEFAULT), Err(Error::OrderInvalid)), "{text}");
        }
    }
}
