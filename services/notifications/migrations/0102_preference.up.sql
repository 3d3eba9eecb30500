-- Why: by which ways a person wants to be told of what, where it is another than what holds for everybody. Expand step; locks nothing that exists.
CREATE TABLE :schema.preference (
    user_id     uuid        NOT NULL,
    category    smallint    NOT NULL CHECK (category IN (3, 4)),      -- muster.notifications.v1.Category, but for those that are mandatory
    channel     smallint    NOT NULL CHECK (channel IN (1, 2)),       -- muster.notifications.v1.Channel
    enabled     boolean     NOT NULL,
    update_time timestamptz NOT NULL,
    PRIMARY KEY (user_id, category, channel)
);
-- The service at work on its own reads whom it may tell.
SELECT :schema.mark_user('preference', 'a choice is its person''s, in every organization', verbs => 'SELECT, INSERT',
    readable => '(SELECT :schema.current_user_id()) IS NULL');
GRANT UPDATE (enabled, update_time) ON :schema.preference TO :schema_app;
