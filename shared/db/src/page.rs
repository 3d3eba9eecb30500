//! Pages of a list: keyset pagination over an order and the id, with tokens that only their own list takes.
//!
//! Deliberately absent: offsets (they skip and repeat rows while others write) and the total, which a list counts when it wants to.
//! Source: AIP-158.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rpc::Caller;
use sqlx::{Postgres, QueryBuilder};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::filter::Value;
use crate::order::TEXT_MAX;
use crate::{Error, Kind, Order, Sealer};

/// Rows of a page when the request names no number.
pub const PAGE_SIZE: u32 = 50;
/// The most rows of a page.
pub const PAGE_SIZE_MAX: u32 = 1000;
const LABEL: &str = "page token";

/// The place of a row in its list: the key it is ordered by, and its id.
#[derive(Clone, Debug, PartialEq)]
pub struct Cursor {
    key: Value,
    id: Uuid,
}

impl Cursor {
    /// In a list ordered by a time.
    pub fn time(key: OffsetDateTime, id: impl Into<Uuid>) -> Self {
        Cursor { key: Value::Time(key), id: id.into() }
    }

    /// In a list ordered by a text of at most 128 characters.
    pub fn text(key: &str, id: impl Into<Uuid>) -> Self {
        debug_assert!(key.chars().count() <= TEXT_MAX, "a list is ordered by a text that no page token holds");
        Cursor { key: Value::Text(key.to_owned()), id: id.into() }
    }

    /// In a list ordered by a number.
    pub fn int(key: i64, id: impl Into<Uuid>) -> Self {
        Cursor { key: Value::Int(key), id: id.into() }
    }

    /// In a list ordered by a UUID.
    pub fn uuid(key: impl Into<Uuid>, id: impl Into<Uuid>) -> Self {
        Cursor { key: Value::Uuid(key.into()), id: id.into() }
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = self.id.as_bytes().to_vec();
        match &self.key {
            Value::Time(time) => bytes.extend(time.unix_timestamp_nanos().to_be_bytes()),
            Value::Text(text) => bytes.extend(text.as_bytes()),
            Value::Int(number) => bytes.extend(number.to_be_bytes()),
            Value::Uuid(uuid) => bytes.extend(uuid.as_bytes()),
            // No list is ordered by these.
            Value::Small(_) | Value::Bool(_) | Value::Bytes(_) => {}
        }
        bytes
    }

    fn decode(kind: Kind, bytes: &[u8]) -> Option<Self> {
        let (id, key) = bytes.split_at_checked(16)?;
        let key = match kind {
            Kind::Time => Value::Time(OffsetDateTime::from_unix_timestamp_nanos(i128::from_be_bytes(key.try_into().ok()?)).ok()?),
            Kind::Text => Value::Text(String::from_utf8(key.to_vec()).ok()?),
            Kind::Int => Value::Int(i64::from_be_bytes(key.try_into().ok()?)),
            Kind::Uuid => Value::Uuid(Uuid::from_slice(key).ok()?),
            Kind::Enum(_) | Kind::Bool | Kind::UuidArray | Kind::TextArray | Kind::Blind => return None,
        };
        Some(Cursor { key, id: Uuid::from_slice(id).ok()? })
    }
}

/// Which page of a list is wanted. Made by [`Db::page`](crate::Db::page).
#[derive(Clone, Debug)]
pub struct PageRequest {
    sealer: Sealer,
    bound: Vec<u8>,
    order: Order,
    size: u32,
    after: Option<Cursor>,
}

/// One page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// The rows, in order.
    pub items: Vec<T>,
    /// For the page after; empty when this is the last.
    pub next_page_token: String,
}

impl<T> Page<T> {
    /// The same page with every item turned into another.
    pub fn map<U>(self, f: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(f).collect(), next_page_token: self.next_page_token }
    }
}

impl PageRequest {
    /// What [`Db::page`](crate::Db::page) does, for whoever has no database: fuzzing.
    ///
    /// # Errors
    /// `PAGE_TOKEN_INVALID`.
    #[doc(hidden)]
    pub fn read(sealer: &Sealer, caller: &Caller, page_size: i32, page_token: &str, order: Order, bound: &[&str]) -> Result<Self, Error> {
        let organization = caller.organization_id().to_string();
        let bound = binding(caller.method(), &organization, &order, bound);
        Self::open(sealer, bound, page_size, page_token, order)
    }

    fn open(sealer: &Sealer, bound: Vec<u8>, page_size: i32, page_token: &str, order: Order) -> Result<Self, Error> {
        let size = match u32::try_from(page_size) {
            Ok(0) | Err(_) => PAGE_SIZE,
            Ok(size) => size.min(PAGE_SIZE_MAX),
        };
        let after = match page_token {
            "" => None,
            token => Some(opened(sealer, &bound, token, order.kind).ok_or(Error::PageTokenInvalid)?),
        };
        Ok(PageRequest { sealer: sealer.clone(), bound, order, size, after })
    }

    /// Adds the place to begin at, ORDER BY and LIMIT to a query that has a WHERE clause and ends with it.
    ///
    /// The limit is a number in the text: PostgreSQL takes one it does not know for a tenth of the table, so that a plan for any limit looks so
    /// much dearer than one for this limit that it would plan each call anew, which took longer than the page.
    pub fn push(&self, query: &mut QueryBuilder<Postgres>) {
        let (key, id) = (self.order.sql, self.order.id_sql);
        let (sign, direction) = if self.order.descending { ("<", "DESC") } else { (">", "ASC") };
        if let Some(after) = &self.after {
            query.push(format_args!(" AND ({key}, {id}) {sign} ("));
            after.key.push(query);
            query.push(", ").push_bind(after.id).push(")");
        }
        query.push(format_args!(" ORDER BY {key} {direction}, {id} {direction} LIMIT {}", self.limit()));
    }

    /// The time to begin after, for a fixed query over a list ordered by time: `($2::timestamptz IS NULL OR (create_time, id) > ($2, $3))`.
    pub fn after_time(&self) -> Option<OffsetDateTime> {
        match self.after {
            Some(Cursor { key: Value::Time(time), .. }) => Some(time),
            _ => None,
        }
    }

    /// The id to begin after, for a fixed query.
    pub fn after_id(&self) -> Option<Uuid> {
        self.after.as_ref().map(|after| after.id)
    }

    /// How many rows to ask for: one more than the page holds, to see whether there is a next page.
    pub fn limit(&self) -> i64 {
        i64::from(self.size) + 1
    }

    /// Makes the page of at most [`limit`](PageRequest::limit) rows; `cursor` gives the place of the last one it keeps, by this list's order.
    pub fn finish<T>(&self, mut rows: Vec<T>, cursor: impl FnOnce(&T) -> Cursor) -> Page<T> {
        let size = self.size as usize;
        let more = rows.len() > size;
        rows.truncate(size);
        let next_page_token = rows.last().filter(|_| more).map(|last| self.token(&cursor(last))).unwrap_or_default();
        Page { items: rows, next_page_token }
    }

    fn token(&self, cursor: &Cursor) -> String {
        URL_SAFE_NO_PAD.encode(self.sealer.seal(LABEL, &self.bound, &cursor.encode()))
    }
}

fn opened(sealer: &Sealer, bound: &[u8], token: &str, kind: Kind) -> Option<Cursor> {
    let sealed = URL_SAFE_NO_PAD.decode(token).ok()?;
    Cursor::decode(kind, &sealer.open(LABEL, bound, &sealed).ok()?)
}

/// Everything that chooses the list, each part with its length before it, so that no two lists read alike.
fn binding(method: &str, organization: &str, order: &Order, bound: &[&str]) -> Vec<u8> {
    let order = format!("{} {}", order.sql, order.descending);
    let mut bytes = Vec::new();
    for part in [method, organization, &order].into_iter().chain(bound.iter().copied()) {
        bytes.extend((part.len() as u64).to_be_bytes());
        bytes.extend(part.as_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDER: Order = Order::asc("create_time", Kind::Time, "item_id");

    fn page(bound: &[u8], page_size: i32, token: &str, order: Order) -> Result<PageRequest, Error> {
        PageRequest::open(&Sealer::from_key(&[7; 32]), bound.to_vec(), page_size, token, order)
    }

    fn token_after(cursor: Cursor, order: Order) -> String {
        page(b"list", 1, "", order).unwrap().finish(vec![0, 1], |_| cursor).next_page_token
    }

    #[test]
    fn a_page_size_of_zero_is_fifty_and_a_thousand_is_the_most() {
        for (asked, rows) in [(0, 50), (-1, 50), (1, 1), (1000, 1000), (i32::MAX, 1000)] {
            assert_eq!(page(b"list", asked, "", ORDER).unwrap().limit(), rows + 1, "{asked}");
        }
    }

    #[test]
    fn a_token_leads_on_from_the_last_row_kept() {
        let id = Uuid::from_u128(5);
        for (cursor, order) in [
            (Cursor::time(time::macros::datetime!(2026-03-01 12:00:00.123456 UTC), id), ORDER),
            (Cursor::text("é\n\"", id), Order::desc("title", Kind::Text, "item_id")),
            (Cursor::int(-3, id), Order::asc("number", Kind::Int, "item_id")),
            (Cursor::uuid(Uuid::from_u128(9), id), Order::asc("owner_id", Kind::Uuid, "item_id")),
        ] {
            let token = token_after(cursor.clone(), order);
            assert_eq!(page(b"list", 1, &token, order).unwrap().after, Some(cursor));
        }
    }

    #[test]
    fn the_last_page_has_no_token() {
        let page = page(b"list", 2, "", ORDER).unwrap().finish(vec![1, 2], |_| Cursor::int(0, Uuid::nil()));
        assert_eq!(page, Page { items: vec![1, 2], next_page_token: String::new() });
    }

    #[test]
    fn a_token_of_another_list_or_a_changed_one_is_refused() {
        let token = token_after(Cursor::time(OffsetDateTime::UNIX_EPOCH, Uuid::nil()), ORDER);
        assert!(matches!(page(b"other list", 1, &token, ORDER), Err(Error::PageTokenInvalid)));
        assert!(matches!(page(b"list", 1, &token, Order::asc("n", Kind::Int, "item_id")), Err(Error::PageTokenInvalid)));
        for place in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(matches!(page(b"list", 1, &changed, ORDER), Err(Error::PageTokenInvalid)), "{place}");
        }
    }

    #[test]
    fn no_two_lists_are_bound_alike() {
        let bindings = [
            binding("m", "o", &ORDER, &["ab", "c"]),
            binding("m", "o", &ORDER, &["a", "bc"]),
            binding("m", "o", &ORDER, &["abc"]),
            binding("mo", "", &ORDER, &["ab", "c"]),
            binding("m", "o", &Order { descending: true, ..ORDER }, &["ab", "c"]),
        ];
        for (index, one) in bindings.iter().enumerate() {
            assert!(!bindings[index + 1..].contains(one), "{index}");
        }
    }

    #[test]
    fn the_longest_text_gives_a_token_of_at_most_1024_characters() {
        let cursor = Cursor::text(&"\u{10FFFF}".repeat(TEXT_MAX), Uuid::nil());
        assert!(token_after(cursor, Order::asc("title", Kind::Text, "item_id")).len() <= 1024);
    }
}
