-- Why: with which devices a person was seen, so that a sign-in from one of them tells nobody. A digest says nothing without the service's key.
-- Expand step; locks nothing that exists.
CREATE TABLE :schema.known_device (
    user_id       uuid        NOT NULL,
    digest        bytea       NOT NULL CHECK (octet_length(digest) = 32),   -- keyed, of person, network and agent
    last_use_time timestamptz NOT NULL,                                     -- to a day
    PRIMARY KEY (user_id, digest)
);
CREATE INDEX known_device_last_use_time_idx ON :schema.known_device (last_use_time);
-- The service at work on its own notes whom it saw, wherever they are.
SELECT :schema.mark_user('known_device', 'a device is its person''s, in every organization', verbs => 'SELECT, INSERT, DELETE',
    writable => '(SELECT :schema.current_user_id()) IS NULL');
GRANT UPDATE (last_use_time) ON :schema.known_device TO :schema_app;
SELECT :schema.grant_worker('known_device', 'SELECT, DELETE');
