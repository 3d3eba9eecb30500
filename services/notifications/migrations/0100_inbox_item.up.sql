-- Why: what a person is told of in the suite itself. The key (event, person) is kept longer than events live in any log, so that one which comes
-- again, also after its inbox row was forgotten, tells nobody twice. Expand step; locks nothing that exists.
CREATE TABLE :schema.inbox_item (
    organization_id uuid        NOT NULL,                               -- nil: of no organization
    inbox_item_id   uuid        NOT NULL,
    user_id         uuid        NOT NULL,
    event_id        uuid        NOT NULL,
    category        smallint    NOT NULL CHECK (category BETWEEN 1 AND 4),   -- muster.notifications.v1.Category
    title           text        NOT NULL CHECK (char_length(title) BETWEEN 1 AND 200),
    text            text        NOT NULL CHECK (char_length(text) <= 1000),
    workspace_id    uuid,
    resource_type   text        NOT NULL,
    resource_id     text        NOT NULL,
    create_time     timestamptz NOT NULL,
    read_time       timestamptz,
    archive_time    timestamptz,
    PRIMARY KEY (user_id, inbox_item_id),
    UNIQUE (event_id, user_id)
);
CREATE INDEX inbox_item_create_time_idx ON :schema.inbox_item (user_id, create_time DESC, inbox_item_id DESC);
CREATE INDEX inbox_item_unread_idx ON :schema.inbox_item (user_id, organization_id) WHERE read_time IS NULL AND archive_time IS NULL;
-- For retention alone, which reads the oldest: items are written in the order of time.
CREATE INDEX inbox_item_retention_idx ON :schema.inbox_item USING brin (create_time);
-- The service at work on its own writes what it tells a person of, in the organization where it happened.
SELECT :schema.mark_user('inbox_item', 'an item is its person''s; nobody else reads it', verbs => 'SELECT, INSERT',
    writable => '(SELECT :schema.current_user_id()) IS NULL AND organization_id = (SELECT :schema.tenant())');
GRANT UPDATE (read_time, archive_time) ON :schema.inbox_item TO :schema_app;
SELECT :schema.grant_worker('inbox_item', 'SELECT, DELETE');
