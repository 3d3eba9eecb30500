//! Pages of a list: all rows once, in order, and tokens for their own list alone.

use db::{Cursor, Error as DbError, Filter, Kind, Order, Page, Tx};
use rpc::Caller;
use runtime::Ids;
use sqlx::QueryBuilder;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::filters::COLUMNS;
use crate::pad::{Pad, organization, user_of};

type Note = (Uuid, String, OffsetDateTime);

const BY_TIME: Order = Order::asc("create_time", Kind::Time, "note_id");

/// Notes in one moment, some of equal titles but for their case, so that only the id tells them apart.
async fn fill(pad: &Pad, caller: &Caller, count: i32) {
    let insert = "INSERT INTO pad.note (organization_id, note_id, title, size, create_time)
                  SELECT $1, gen_random_uuid(), 'note ' || n, n % 3, '2026-03-01T12:00:00Z'::timestamptz + (n / 4) * interval '1 second'
                  FROM generate_series(1, $2) AS n";
    let write = async |tx: &mut Tx| Ok::<_, DbError>(sqlx::query(insert).bind(tx.organization_id()).bind(count).execute(tx.conn()).await?);
    pad.db.write_unrecorded(caller, write).await.unwrap();
}

async fn page(pad: &Pad, caller: &Caller, filter: &str, order: &str, token: &str) -> Result<Page<Note>, DbError> {
    let read = Filter::parse(filter, COLUMNS)?;
    let order = Order::parse(order, COLUMNS, BY_TIME)?;
    let request = pad.db.page(caller, 7, token, order, &[filter])?;
    pad.db
        .read(caller, async |tx| {
            let mut query = QueryBuilder::new("SELECT note_id, title, create_time, size FROM pad.note WHERE organization_id = ");
            query.push_bind(tx.organization_id());
            read.push(&mut query);
            request.push(&mut query);
            let rows: Vec<(Uuid, String, OffsetDateTime, i32)> = query.build_query_as().fetch_all(tx.conn()).await?;
            let page = request.finish(rows, |(id, title, time, size)| match order {
                order if order == BY_TIME => Cursor::time(*time, *id),
                order if order == Order::desc("title", Kind::Text, "note_id") => Cursor::text(title, *id),
                _ => Cursor::int(i64::from(*size), *id),
            });
            Ok(page.map(|(id, title, time, _)| (id, title, time)))
        })
        .await
}

async fn walk(pad: &Pad, caller: &Caller, filter: &str, order: &str) -> Vec<Note> {
    let (mut all, mut token) = (Vec::new(), String::new());
    loop {
        let page = page(pad, caller, filter, order, &token).await.unwrap();
        assert!(page.items.len() <= 7);
        all.extend(page.items);
        if page.next_page_token.is_empty() {
            return all;
        }
        token = page.next_page_token;
    }
}

#[tokio::test]
async fn every_row_comes_once_and_in_order() {
    let pad = Pad::new().await;
    let caller = user_of(organization());
    fill(&pad, &caller, 40).await;
    fill(&pad, &user_of(organization()), 10).await;
    let by_time = walk(&pad, &caller, "", "").await;
    assert!(by_time.is_sorted_by_key(|note| (note.2, note.0)));
    let by_title = walk(&pad, &caller, "", "title desc").await;
    assert!(by_title.is_sorted_by(|a, b| a.1 >= b.1));
    let by_size = walk(&pad, &caller, "", "size").await;
    for notes in [&by_time, &by_title, &by_size] {
        let ids: std::collections::BTreeSet<Uuid> = notes.iter().map(|note| note.0).collect();
        assert_eq!((notes.len(), ids.len()), (40, 40));
    }
    assert_eq!(walk(&pad, &caller, "size = 0", "").await.len(), 13);
}

#[tokio::test]
async fn a_page_that_is_just_full_is_the_last() {
    let pad = Pad::new().await;
    let caller = user_of(organization());
    fill(&pad, &caller, 7).await;
    let page = page(&pad, &caller, "", "", "").await.unwrap();
    assert_eq!((page.items.len(), page.next_page_token.as_str()), (7, ""));
}

#[tokio::test]
async fn a_token_goes_with_its_own_filter_order_and_tenant_alone() {
    let pad = Pad::new().await;
    let caller = user_of(organization());
    fill(&pad, &caller, 10).await;
    let token = page(&pad, &caller, "", "", "").await.unwrap().next_page_token;
    assert_eq!(page(&pad, &caller, "", "", &token).await.unwrap().items.len(), 3);
    let colleague = Caller::background("pad", caller.organization_id(), None).acting_as(Ids::system().next_id());
    assert!(page(&pad, &colleague, "", "", &token).await.is_ok());
    let method = Caller::background("other", caller.organization_id(), None);
    let refused = [
        page(&pad, &caller, "size = 1", "", &token).await,
        page(&pad, &caller, "", "title desc", &token).await,
        page(&pad, &user_of(organization()), "", "", &token).await,
        page(&pad, &method, "", "", &token).await,
        page(&pad, &caller, "", "", "AAAA").await,
        page(&pad, &caller, "", "", "not base64!").await,
        page(&pad, &caller, "", "", &token.to_lowercase()).await,
    ];
    for (number, refused) in refused.into_iter().enumerate() {
        assert!(matches!(refused, Err(DbError::PageTokenInvalid)), "{number}: {refused:?}");
    }
}

#[tokio::test]
async fn a_fixed_query_pages_too() {
    let pad = Pad::new().await;
    let caller = user_of(organization());
    fill(&pad, &caller, 10).await;
    let (mut seen, mut token) = (0, String::new());
    for expected in [4, 4, 2] {
        let request = pad.db.page(&caller, 4, &token, BY_TIME, &[]).unwrap();
        let read = async |tx: &mut Tx| {
            let query = "SELECT note_id, create_time FROM pad.note WHERE $1::timestamptz IS NULL OR (create_time, note_id) > ($1, $2)
                         ORDER BY create_time, note_id LIMIT $3";
            let query = sqlx::query_as(query).bind(request.after_time()).bind(request.after_id()).bind(request.limit());
            Ok::<Vec<(Uuid, OffsetDateTime)>, DbError>(query.fetch_all(tx.conn()).await?)
        };
        let page = request.finish(pad.db.read(&caller, read).await.unwrap(), |(id, time)| Cursor::time(*time, *id));
        assert_eq!(page.items.len(), expected);
        (seen, token) = (seen + page.items.len(), page.next_page_token);
    }
    assert_eq!((seen, token.as_str()), (10, ""));
}
