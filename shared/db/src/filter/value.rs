//! Values of a filter and of a page's cursor: text of the wire to a typed, bindable value.

use sqlx::{Postgres, QueryBuilder};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::{EnumValue, Kind};

/// A value that is only ever bound.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Uuid(Uuid),
    Text(String),
    Small(i16),
    Int(i64),
    Bool(bool),
    Time(OffsetDateTime),
    Bytes([u8; 32]),
}

impl Value {
    /// Reads `text` as a value of `kind`; of a member, when `kind` is a list. Says what was expected otherwise.
    pub(super) fn read(kind: Kind, text: &str) -> Result<Self, &'static str> {
        match kind {
            Kind::Uuid | Kind::UuidArray => text.parse().map(Value::Uuid).map_err(|_| "expected a UUID"),
            Kind::Text | Kind::TextArray if text.contains('\0') => Err("expected a text without NUL"),
            Kind::Text | Kind::TextArray => Ok(Value::Text(text.to_owned())),
            Kind::Int => text.parse().map(Value::Int).map_err(|_| "expected a whole number"),
            Kind::Bool => text.parse().map(Value::Bool).map_err(|_| "expected true or false"),
            Kind::Time => time(text).map(Value::Time).ok_or("expected a time as in 2026-01-31T12:00:00Z"),
            Kind::Blind => Err("this field can't be searched"),
            Kind::Enum(values) => {
                let (_, value) = values.iter().find(|(wire, _)| *wire == text).ok_or("no such value of this field")?;
                Ok(match value {
                    EnumValue::Int(number) => Value::Small(*number),
                    EnumValue::Text(text) => Value::Text((*text).to_owned()),
                })
            }
        }
    }

    /// Binds the value.
    pub(crate) fn push(&self, query: &mut QueryBuilder<Postgres>) {
        match self {
            Value::Uuid(value) => query.push_bind(*value),
            Value::Text(value) => query.push_bind(value.clone()),
            Value::Small(value) => query.push_bind(*value),
            Value::Int(value) => query.push_bind(*value),
            Value::Bool(value) => query.push_bind(*value),
            Value::Time(value) => query.push_bind(*value),
            Value::Bytes(value) => query.push_bind(value.to_vec()),
        };
    }
}

/// A time that `timestamptz` can hold without trouble: years 0001 to 9999, as in protobuf's Timestamp.
fn time(text: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(text, &Rfc3339).ok().filter(|time| time.to_offset(time::UtcOffset::UTC).year() >= 1)
}
