-- Why: accounts and their sessions. Expand step; locks nothing that exists.
-- `user` is a reserved word; the table has the name that needs no quotes.
CREATE TABLE :schema.user_account (
    user_id                 uuid        PRIMARY KEY,
    email                   bytea       NOT NULL,          -- sealed
    email_index             text        NOT NULL,          -- blind index of the normalised address, in hex
    username                bytea,                         -- sealed; a name to sign in with
    username_index          text,                          -- its blind index, in hex
    display_name            bytea       NOT NULL,          -- sealed
    password_hash           bytea       NOT NULL,          -- PHC string, sealed: a dump alone can't be tried against a word list
    state                   smallint    NOT NULL CHECK (state IN (1, 2)),           -- PENDING, ACTIVE
    system_role             smallint    NOT NULL CHECK (system_role IN (1, 2)),     -- USER, ADMIN
    verification_generation bigint      NOT NULL DEFAULT 1,   -- the token that proves the address, and the one that
    reset_generation        bigint      NOT NULL DEFAULT 1,   -- resets the password: each is good once; the latter dates device tokens too
    reset_void_time         timestamptz,                      -- a reset that was asked for before is mailed to nobody any more
    version                 bigint      NOT NULL DEFAULT 1,
    create_time             timestamptz NOT NULL,
    update_time             timestamptz NOT NULL,
    CHECK ((username IS NULL) = (username_index IS NULL))
);
CREATE INDEX user_account_create_time_idx ON :schema.user_account (create_time, user_id);
-- An address belongs to whoever proved it. Until then anybody may have registered it, each with a password of their own.
CREATE UNIQUE INDEX user_account_proved_key ON :schema.user_account (email_index) WHERE state = 2;
-- A username too: a registration holds none, else whether the name is free would say if the registration was made.
CREATE UNIQUE INDEX user_account_username_key ON :schema.user_account (username_index) WHERE state = 2;
CREATE INDEX user_account_email_index_idx ON :schema.user_account (email_index);
CREATE INDEX user_account_pending_idx ON :schema.user_account (create_time) WHERE state = 1;

-- When a mail was last asked for in the name of an address, whether or not it is somebody's: nobody's mailbox is filled. For each who asks, so
-- that nobody holds up the mail of another; and for all of them, with a time that lies ahead by as many cool-downs as mails went out in a row.
CREATE TABLE :schema.mail_request (
    email_index  text        NOT NULL,
    asked        smallint    NOT NULL CHECK (asked BETWEEN 1 AND 4),   -- VERIFY_EMAIL, RESET_PASSWORD, INVITATION, CHANGE_EMAIL
    asker        text        NOT NULL,          -- blind index of the network, the user or the organization with the address; empty for all
    request_time timestamptz NOT NULL,
    PRIMARY KEY (email_index, asked, asker)
);
CREATE INDEX mail_request_request_time_idx ON :schema.mail_request (request_time);
SELECT :schema.mark_service('mail_request', 'asked for by anybody, before there is a principal: blind indexes and a time', verbs => 'SELECT, INSERT, UPDATE');
SELECT :schema.grant_worker('mail_request', 'SELECT, DELETE');

-- A sign-in on one device. `generation` is the refresh token that is good now.
CREATE TABLE :schema.session (
    session_id          uuid        PRIMARY KEY,
    user_id             uuid        NOT NULL REFERENCES :schema.user_account ON DELETE CASCADE,
    organization_id     uuid        NOT NULL,              -- where it acts now; the nil UUID for nowhere
    workspace_id        uuid,                              -- what it is narrowed to
    state               smallint    NOT NULL CHECK (state IN (1, 2)),               -- ACTIVE, REVOKED; EXPIRED is read off the times
    generation          bigint      NOT NULL DEFAULT 1,
    client_address      bytea,                             -- sealed
    user_agent          bytea,                             -- sealed
    create_time         timestamptz NOT NULL,
    rotate_time         timestamptz NOT NULL,              -- when the generation began
    last_use_time       timestamptz NOT NULL,              -- then, or when a token of it was seen since; written now and then, never back
    refresh_expire_time timestamptz NOT NULL,
    expire_time         timestamptz NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX session_user_id_idx ON :schema.session (user_id, create_time DESC, session_id DESC);
CREATE INDEX session_expire_time_idx ON :schema.session (expire_time);
SELECT :schema.mark_user('session', 'a session is its user''s alone; system admins end those of others', writable => '(SELECT :schema.in_system_scope())');
SELECT :schema.grant_worker('session', 'SELECT, DELETE');
GRANT UPDATE (last_use_time) ON :schema.session TO :schema_worker;

-- Whether somebody, whose account is held, has more than `kept` sessions open at `at`. VOLATILE, so that it sees what others committed until the
-- account was held; the statement around it does not.
CREATE FUNCTION :schema.has_sessions_beyond(owner uuid, kept bigint, at timestamptz) RETURNS boolean LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
    RETURN EXISTS (SELECT FROM :schema.session s
                   WHERE s.user_id = owner AND s.state = 1 AND s.refresh_expire_time > at AND s.expire_time > at OFFSET kept);
END $$;
GRANT EXECUTE ON FUNCTION :schema.has_sessions_beyond(uuid, bigint, timestamptz) TO :schema_app;
