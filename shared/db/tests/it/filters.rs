//! Filters: what each finds, what is refused and where, and that nothing of the text reaches the SQL.

use db::{Column, EnumValue, Error as DbError, FILTER_DEPTH_MAX, FILTER_LENGTH_MAX, FILTER_TERMS_MAX, Filter, Kind, Tx};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use runtime::Ids;
use sqlx::QueryBuilder;

use crate::pad::{Pad, organization, user_of};

pub(crate) static COLUMNS: &[Column] = &[
    Column::new("title", "title", Kind::Text),
    Column::new("state", "state", Kind::Enum(&[("OPEN", EnumValue::Int(1)), ("DONE", EnumValue::Int(2))])),
    Column::new("size", "size", Kind::Int),
    Column::new("pinned", "pinned", Kind::Bool),
    Column::new("owner_id", "owner_id", Kind::Uuid),
    Column::new("tags", "tags", Kind::TextArray),
    Column::new("reader_ids", "reader_ids", Kind::UuidArray),
    Column::new("create_time", "create_time", Kind::Time),
];

const ANA: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

async fn found(pad: &Pad, caller: &rpc::Caller, text: &str) -> Result<Vec<String>, DbError> {
    let filter = Filter::parse(text, COLUMNS)?;
    pad.db
        .read(caller, async |tx: &mut Tx| {
            let mut query = QueryBuilder::new("SELECT title FROM pad.note WHERE true");
            filter.push(&mut query);
            query.push(" ORDER BY title");
            Ok(query.build_query_scalar().fetch_all(tx.conn()).await?)
        })
        .await
}

/// a: open, 1, of ana, tags x y · b: done, 2, pinned, read by ana · c: open, 3, nobody's, title "c (50%) \"_\""
async fn three_notes(pad: &Pad, caller: &rpc::Caller) {
    let insert = r#"INSERT INTO pad.note (organization_id, note_id, title, state, size, pinned, owner_id, tags, reader_ids, create_time) VALUES
        ($1, gen_random_uuid(), 'a Shed', 1, 1, false, $2::uuid, '{x,y}', '{}', '2026-01-01T00:00:00Z'),
        ($1, gen_random_uuid(), 'b shed', 2, 2, true, gen_random_uuid(), '{y}', array[$2::uuid], '2026-02-01T00:00:00Z'),
        ($1, gen_random_uuid(), 'c (50%) "_"', 1, 3, false, NULL, '{}', '{}', '2026-03-01T00:00:00Z')"#;
    let write = async |tx: &mut Tx| Ok::<_, DbError>(sqlx::query(insert).bind(tx.organization_id()).bind(ANA).execute(tx.conn()).await?);
    pad.db.write_unrecorded(caller, write).await.unwrap();
}

#[tokio::test]
async fn each_filter_finds_its_rows() {
    let pad = Pad::new().await;
    let caller = user_of(organization());
    three_notes(&pad, &caller).await;
    let corpus = [
        ("", "abc"),
        ("   ", "abc"),
        ("state = OPEN", "ac"),
        ("state = \"OPEN\"", "ac"),
        ("state != OPEN", "b"),
        ("size > 1 AND size <= 2", "b"),
        ("size < 2", "a"),
        ("size >= 2", "bc"),
        ("size = -1", ""),
        ("title = 'a Shed'", "a"),
        ("title:shed", "ab"),
        ("title:\"50%\"", "c"),
        ("title:'%'", "c"),
        ("title:'_'", "c"),
        (r#"title:"\"_\"""#, "c"),
        ("title > b", "bc"),
        ("pinned = true", "b"),
        ("NOT pinned = true", "ac"),
        ("-pinned = true", "ac"),
        ("-(size = 1 OR size = 2)", "c"),
        ("tags:y", "ab"),
        ("tags:* AND -tags:x", "b"),
        ("tags:Y", ""),
        ("reader_ids:01890a5d-ac96-774b-bcce-b302099a8057", "b"),
        ("owner_id = 01890a5d-ac96-774b-bcce-b302099a8057", "a"),
        ("owner_id != 01890a5d-ac96-774b-bcce-b302099a8057", "bc"),
        ("NOT owner_id = 01890a5d-ac96-774b-bcce-b302099a8057", "bc"),
        ("owner_id:*", "ab"),
        ("NOT owner_id:*", "c"),
        ("create_time >= 2026-02-01T00:00:00Z", "bc"),
        ("create_time < \"2026-02-01T01:00:00+02:00\"", "a"),
        // OR binds tighter than AND.
        ("size = 1 OR size = 2 AND state = DONE", "b"),
        ("(size = 1) OR (size = 2 AND state = DONE)", "ab"),
        ("size=1 OR size=3", "ac"),
    ];
    for (text, expected) in corpus {
        let initials: String = found(&pad, &caller, text).await.unwrap().iter().filter_map(|title| title.chars().next()).collect();
        assert_eq!(initials, expected, "{text}");
    }
}

#[test]
fn what_can_t_be_read_is_refused_at_its_place() {
    let corpus = [
        ("size", 5, "expected an operator"),
        ("size =", 7, "expected a value"),
        ("owner = 1", 1, "no such field"),
        ("size = 1 owner = 2", 10, "expected AND or OR"),
        ("size = 1 AND", 13, "expected a field"),
        ("(size = 1", 10, "expected AND, OR or a closing parenthesis"),
        ("size = 1)", 9, "no parenthesis is open"),
        ("size = one", 8, "expected a whole number"),
        ("size = 99999999999999999999", 8, "expected a whole number"),
        ("state = CLOSED", 9, "no such value of this field"),
        ("state > OPEN", 7, "this field has no such operator"),
        ("tags = x", 6, "this field has no such operator"),
        ("owner_id < 01890a5d-ac96-774b-bcce-b302099a8057", 10, "this field has no such operator"),
        ("owner_id = me", 12, "expected a UUID"),
        ("pinned = yes", 10, "expected true or false"),
        ("create_time > yesterday", 15, "expected a time as in 2026-01-31T12:00:00Z"),
        ("title = 'shed", 9, "the quotation has no end"),
        ("title = 'é' ; DROP TABLE pad.note", 13, "this character has no meaning here"),
        ("NOT NOT size = 1", 5, "expected a field or a parenthesis"),
        ("AND size = 1", 1, "expected a field"),
        ("'size' = 1", 1, "expected a field"),
        ("title = 'a\0b'", 9, "expected a text without NUL"),
    ];
    for (text, at, expected) in corpus {
        match Filter::parse(text, COLUMNS) {
            Err(DbError::FilterInvalid { position, problem }) => assert_eq!((position, problem), (at, expected), "{text}"),
            other => panic!("{text}: {other:?}"),
        }
    }
}

#[test]
fn a_filter_has_bounds_on_length_depth_and_terms() {
    let nested = |depth: usize| format!("{}size = 1{}", "(".repeat(depth), ")".repeat(depth));
    let terms = |count: usize| vec!["size = 1"; count].join(" OR ");
    let long = |length: usize| format!("size = 1{}", " ".repeat(length - 8));
    assert!(Filter::parse(&nested(FILTER_DEPTH_MAX), COLUMNS).is_ok());
    assert!(Filter::parse(&nested(FILTER_DEPTH_MAX + 1), COLUMNS).is_err());
    assert!(Filter::parse(&terms(FILTER_TERMS_MAX), COLUMNS).is_ok());
    assert!(Filter::parse(&terms(FILTER_TERMS_MAX + 1), COLUMNS).is_err());
    assert!(Filter::parse(&long(FILTER_LENGTH_MAX), COLUMNS).is_ok());
    assert!(Filter::parse(&long(FILTER_LENGTH_MAX + 1), COLUMNS).is_err());
    assert!(Filter::parse(&"(".repeat(FILTER_LENGTH_MAX), COLUMNS).is_err());
}

/// One comparison that fits, with the texts it holds.
fn comparison() -> impl Strategy<Value = (String, Vec<String>)> {
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let text = "[^\\x00]{0,12}".prop_map(|text| format!("ZQ{text}"));
    prop_oneof![
        (text.clone(), prop::sample::select(&["=", "!=", "<", ">=", ":"][..]))
            .prop_map(move |(text, op)| (format!("title {op} {}", quoted(&text)), vec![text])),
        text.prop_map(move |text| (format!("tags:{}", quoted(&text)), vec![text])),
        (any::<i64>(), prop::sample::select(&["=", "!=", "<", ">="][..])).prop_map(|(number, op)| (format!("size {op} {number}"), vec![])),
        Just(("owner_id:*".to_owned(), vec![])),
        Just(("state = OPEN".to_owned(), vec![])),
        Just((format!("reader_ids:{ANA}"), vec![])),
        Just(("create_time < 2026-02-01T00:00:00Z".to_owned(), vec![])),
    ]
}

fn expression() -> impl Strategy<Value = (String, Vec<String>)> {
    comparison().prop_recursive(3, 12, 3, |inner| {
        let both = |word: &'static str| {
            move |((a, x), (b, y)): ((String, Vec<String>), (String, Vec<String>))| (format!("({a} {word} {b})"), [x, y].concat())
        };
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(both("AND")),
            (inner.clone(), inner.clone()).prop_map(both("OR")),
            inner.prop_map(|(a, x)| (format!("NOT ({a})"), x)),
        ]
    })
}

#[tokio::test]
async fn every_filter_that_is_read_is_sql_that_runs_and_holds_nothing_of_the_text() {
    let pad = Pad::new().await;
    let caller = user_of(organization());
    three_notes(&pad, &caller).await;
    let mut runner = TestRunner::deterministic();
    let mut ran = 0;
    for _ in 0..300 {
        let (text, texts) = expression().new_tree(&mut runner).unwrap().current();
        let Ok(filter) = Filter::parse(&text, COLUMNS) else { continue };
        let mut query: QueryBuilder<sqlx::Postgres> = QueryBuilder::new("");
        filter.push(&mut query);
        assert!(!texts.iter().any(|text| query.sql().as_str().contains(text.as_str())), "{text}");
        found(&pad, &caller, &text).await.unwrap_or_else(|error| panic!("{text}: {error:?}"));
        ran += 1;
    }
    assert!(ran > 200, "{ran} of 300 were read");
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in ".{0,200}") {
        let _ = Filter::parse(&text, COLUMNS);
    }

    #[test]
    fn no_mixture_of_its_own_words_makes_the_parser_panic_or_say_what_was_written(
        words in prop::collection::vec(prop::sample::select(&["(", ")", "-", "AND", "OR", "NOT", "size", "title", "=", ":", "<", "*", "1", "\"", "'", "\\", "SECRET"][..]), 0..40)
    ) {
        if let Err(error) = Filter::parse(&words.join(" "), COLUMNS) {
            prop_assert!(!error.to_string().contains("SECRET"));
        }
    }
}

#[tokio::test]
async fn a_sealed_text_is_found_by_its_blind_index_alone() {
    static SEALED: &[Column] = &[Column::new("email", "decode('ab', 'hex')", Kind::Blind)];
    let index = |name: &'static str, text: &str| [u8::from(name == "email" && text == "ana@example.com"); 32];
    let filter = Filter::parse_blind("email = 'ana@example.com'", SEALED, index).unwrap();
    let mut query: QueryBuilder<sqlx::Postgres> = QueryBuilder::new("");
    filter.push(&mut query);
    assert_eq!(query.sql().as_str(), " AND (decode('ab', 'hex') = $1)");
    assert!(Filter::parse_blind("email > 'a'", SEALED, index).is_err());
    assert!(Filter::parse("email = 'ana@example.com'", SEALED).is_err(), "a list that has no index for it");
}

#[test]
fn ids_of_the_suite_are_read_as_they_are_printed() {
    assert!(Filter::parse(&format!("owner_id = {}", Ids::system().next()), COLUMNS).is_ok());
}
