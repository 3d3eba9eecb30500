//! The statements over the eight tables that every service's schema has (`shared/db/migrations`), written out once for a schema.
//!
//! They can't be `sqlx::query!`: the schema's name is known at run time only. It comes from code, never from a request.
//!
//! Deliberately absent: the INSERT into `outbox`, which is `db`'s, in the transaction of the change.

use crate::envelope::COLUMNS;

/// The statements of one schema.
#[derive(Debug)]
pub(crate) struct Sql {
    pub(crate) sequence: String,
    pub(crate) head: String,
    pub(crate) set_published: String,
    pub(crate) outbox: String,
    pub(crate) floor: String,
    pub(crate) read: String,
    pub(crate) tail: String,
    pub(crate) oldest: String,
    pub(crate) take: String,
    pub(crate) known: String,
    pub(crate) attempts: String,
    pub(crate) attempt: String,
    pub(crate) bury: String,
    pub(crate) caught_up: String,
    pub(crate) freshness: String,
    pub(crate) replays: String,
    pub(crate) letter: String,
    pub(crate) replay: String,
    pub(crate) replay_failed: String,
    pub(crate) drop_letter: String,
    pub(crate) letters: String,
    pub(crate) letter_counts: String,
    pub(crate) expire_events: String,
    pub(crate) expire_inbox: String,
    pub(crate) expire_attempts: String,
}

impl Sql {
    pub(crate) fn of(schema: &str) -> Self {
        Self {
            // $1 rows at most. The head is locked first, and only when there is something to number; the second of two waits for it and
            // then finds the rows gone. The outbox order is the order of commits for one aggregate, because its row was locked.
            // By a bound and not by `seq IN`: a plan that was kept from when the outbox was empty joined each row with all of it (400 events/s).
            sequence: format!(
                "WITH head AS MATERIALIZED (SELECT position FROM {schema}.event_head WHERE EXISTS (SELECT 1 FROM {schema}.outbox) FOR UPDATE), \
                 moved AS (DELETE FROM {schema}.outbox WHERE EXISTS (SELECT 1 FROM head) \
                   AND seq <= (SELECT max(seq) FROM (SELECT seq FROM {schema}.outbox ORDER BY seq LIMIT $1) AS oldest) RETURNING *), \
                 logged AS (INSERT INTO {schema}.event (position, {COLUMNS}) \
                   SELECT head.position + row_number() OVER (ORDER BY moved.seq), {COLUMNS} FROM moved, head RETURNING position), \
                 counted AS (UPDATE {schema}.event_head SET position = event_head.position + (SELECT count(*) FROM logged) \
                   WHERE EXISTS (SELECT 1 FROM moved) RETURNING position) \
                 SELECT (SELECT count(*) FROM logged), (SELECT position FROM counted)"
            ),
            head: format!("SELECT position, published_position FROM {schema}.event_head"),
            set_published: format!("UPDATE {schema}.event_head SET published_position = $1"),
            // Counted up to 100,000: the figure says how far behind the sequencer is, and beyond that it only says "far".
            outbox: format!(
                "SELECT count(*), min(create_time) FROM (SELECT create_time FROM {schema}.outbox ORDER BY seq LIMIT 100000) AS waiting"
            ),
            floor: format!(
                "SELECT coalesce((SELECT min(position) FROM {schema}.event WHERE create_time > $1), (SELECT position + 1 FROM {schema}.event_head)) - 1"
            ),
            read: format!("SELECT position, {COLUMNS} FROM {schema}.event WHERE position > $1 ORDER BY position LIMIT $2"),
            // `oldest` in the same statement: rows that retention took away can't be mistaken for rows that the filter left out.
            tail: format!(
                "SELECT position, {COLUMNS}, (SELECT min(position) FROM {schema}.event) AS oldest FROM {schema}.event \
                 WHERE position > $1 AND position <= $2 AND ($3::uuid IS NULL OR organization_id = $3) AND ($4::text[] IS NULL OR type = ANY ($4)) \
                 ORDER BY position LIMIT $5"
            ),
            oldest: format!("SELECT position, (SELECT min(position) FROM {schema}.event) FROM {schema}.event_head"),
            // 1 row counted: new. 0: its effect is committed already. Either way nothing else has to be kept of it.
            take: format!(
                "WITH taken AS (INSERT INTO {schema}.inbox (consumer, event_id, service, position, handle_time) VALUES ($1, $2, $3, $4, $5) \
                   ON CONFLICT DO NOTHING RETURNING 1), \
                 tried AS (DELETE FROM {schema}.inbox_attempt WHERE consumer = $1 AND event_id = $2), \
                 buried AS (DELETE FROM {schema}.dead_letter WHERE consumer = $1 AND event_id = $2) \
                 SELECT count(*) FROM taken"
            ),
            known: format!("SELECT event_id FROM {schema}.inbox WHERE consumer = $1 AND event_id = ANY ($2)"),
            attempts: format!("SELECT aggregate_id, position, attempts FROM {schema}.inbox_attempt WHERE consumer = $1 AND service = $2"),
            // No row: it is a dead letter already.
            attempt: format!(
                "INSERT INTO {schema}.inbox_attempt AS tried (consumer, event_id, service, aggregate_id, position, attempts, cause, update_time, organization_id) \
                 SELECT $1, $2, $3, $4, $5, 1, $6, $7, $8 WHERE NOT EXISTS (SELECT 1 FROM {schema}.dead_letter WHERE consumer = $1 AND event_id = $2) \
                 ON CONFLICT (consumer, event_id) DO UPDATE SET attempts = tried.attempts + 1, cause = $6, update_time = $7 RETURNING attempts"
            ),
            // The second burial of one event (the process died before it could tell the server) changes nothing.
            bury: format!(
                "WITH tried AS (DELETE FROM {schema}.inbox_attempt WHERE consumer = $2 AND event_id = $3) \
                 INSERT INTO {schema}.dead_letter \
                 (dead_letter_id, consumer, event_id, stream, stream_sequence, envelope, body, cause, attempts, create_time, organization_id) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (consumer, event_id) DO NOTHING"
            ),
            caught_up: format!(
                "INSERT INTO {schema}.inbox_freshness AS held VALUES ($1, $2, clock_timestamp() - $3 * interval '1 millisecond') \
                 ON CONFLICT (consumer, service) DO UPDATE SET caught_up_time = greatest(held.caught_up_time, excluded.caught_up_time)"
            ),
            // One statement, so that all of it is of one moment: what is committed and not numbered yet is in the outbox.
            freshness: format!(
                "SELECT (SELECT (extract(epoch FROM clock_timestamp() - min(caught_up_time)) * 1000)::bigint FROM {schema}.inbox_freshness \
                     WHERE consumer = $1 AND service = ANY ($2) HAVING count(*) = cardinality($2::text[])) AS age_ms, \
                   position AS head, (SELECT min(seq) FROM {schema}.outbox) AS oldest, (SELECT max(seq) FROM {schema}.outbox) AS newest, \
                   ARRAY(SELECT organization_id FROM {schema}.inbox_attempt WHERE consumer = $1 \
                     UNION SELECT organization_id FROM {schema}.dead_letter WHERE consumer = $1 LIMIT $3) AS blocked \
                 FROM {schema}.event_head"
            ),
            replays: format!(
                "SELECT dead_letter_id, consumer, stream, stream_sequence, envelope, body, cause, attempts, create_time \
                 FROM {schema}.dead_letter WHERE consumer = $1 AND replay_time IS NOT NULL ORDER BY dead_letter_id LIMIT $2"
            ),
            letter: format!(
                "SELECT consumer, event_id, organization_id, replay_time IS NOT NULL AS replayed FROM {schema}.dead_letter \
                 WHERE dead_letter_id = $1 FOR UPDATE"
            ),
            replay: format!("UPDATE {schema}.dead_letter SET replay_time = $2 WHERE dead_letter_id = $1"),
            replay_failed: format!(
                "UPDATE {schema}.dead_letter SET replay_time = NULL, attempts = attempts + 1, cause = $2 WHERE dead_letter_id = $1"
            ),
            drop_letter: format!("DELETE FROM {schema}.dead_letter WHERE dead_letter_id = $1"),
            letters: format!(
                "SELECT dead_letter_id, consumer, stream, stream_sequence, envelope, body, cause, attempts, create_time FROM {schema}.dead_letter \
                 WHERE ($1 = '' OR consumer = $1) AND ($2::timestamptz IS NULL OR (create_time, dead_letter_id) > ($2, $3)) \
                 ORDER BY create_time, dead_letter_id LIMIT $4"
            ),
            letter_counts: format!("SELECT consumer, count(*) FROM {schema}.dead_letter GROUP BY consumer"),
            // By position, not by time: the primary key finds the oldest, and what is not on the bus yet stays.
            expire_events: format!(
                "DELETE FROM {schema}.event WHERE position IN (SELECT position FROM (SELECT position, create_time FROM {schema}.event \
                   ORDER BY position LIMIT $2) AS oldest WHERE create_time < $1) AND position <= (SELECT published_position FROM {schema}.event_head)"
            ),
            expire_inbox: format!(
                "DELETE FROM {schema}.inbox WHERE (consumer, event_id) IN \
                 (SELECT consumer, event_id FROM {schema}.inbox WHERE handle_time < $1 ORDER BY handle_time LIMIT $2)"
            ),
            expire_attempts: format!(
                "DELETE FROM {schema}.inbox_attempt WHERE (consumer, event_id) IN \
                 (SELECT consumer, event_id FROM {schema}.inbox_attempt WHERE update_time < $1 ORDER BY update_time LIMIT $2)"
            ),
        }
    }
}
