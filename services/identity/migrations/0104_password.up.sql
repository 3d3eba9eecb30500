-- Why: what a person changes who knows the password: the password itself, and the address. Expand step; locks nothing that exists.

-- An address that somebody wants in place of theirs, until they prove it; then the one that they gave up, so that it can be told.
CREATE TABLE :schema.email_change (
    email_change_id uuid        PRIMARY KEY,
    user_id         uuid        NOT NULL REFERENCES :schema.user_account ON DELETE CASCADE,
    state           smallint    NOT NULL CHECK (state IN (1, 2)),   -- PENDING, DONE
    email           bytea       NOT NULL,                           -- sealed; wanted while PENDING, given up once DONE
    email_index     text        NOT NULL,                           -- blind index of the address wanted, in hex
    create_time     timestamptz NOT NULL,
    expire_time     timestamptz NOT NULL                            -- of the link, to the second
);
CREATE UNIQUE INDEX email_change_pending_key ON :schema.email_change (user_id) WHERE state = 1;
CREATE INDEX email_change_create_time_idx ON :schema.email_change (create_time);
SELECT :schema.mark_user('email_change', 'which address somebody wants is their own matter');
SELECT :schema.allow_definer('email_change');
SELECT :schema.grant_worker('email_change', 'SELECT, DELETE');

-- What is checked of somebody who signed in and gives the password again: theirs alone.
CREATE FUNCTION :schema.own_credential() RETURNS TABLE (user_id uuid, email bytea, password_hash bytea, version bigint, reset_generation bigint)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = ''
    AS $$
        SELECT u.user_id, u.email, u.password_hash, u.version, u.reset_generation FROM :schema.user_account u
        WHERE u.user_id = :schema.current_user_id() AND u.state = 2
    $$;

-- Before there is a principal, and for whoever sends mail: whose change of address a mailed token is about, and where the mail of it goes. A
-- change to an address that somebody else proved has nobody to mail to.
CREATE FUNCTION :schema.email_change_recipient(wanted uuid)
    RETURNS TABLE (user_id uuid, state smallint, email bytea, expire_time timestamptz, display_name bytea)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = ''
    AS $$
        SELECT c.user_id, c.state, c.email, c.expire_time, u.display_name
        FROM :schema.email_change c JOIN :schema.user_account u ON u.user_id = c.user_id
        WHERE c.email_change_id = wanted
          AND (c.state = 2 OR NOT EXISTS (SELECT FROM :schema.user_account proved WHERE proved.email_index = c.email_index AND proved.state = 2
                                              AND proved.user_id <> c.user_id))
    $$;
GRANT EXECUTE ON FUNCTION :schema.own_credential(), :schema.email_change_recipient(uuid) TO :schema_app;

-- Passwords that were in force before, where the setting asks for it: sealed as they lay in the account.
CREATE TABLE :schema.password_history (
    password_history_id uuid        PRIMARY KEY,               -- a UUIDv7: the newest is the last
    user_id             uuid        NOT NULL REFERENCES :schema.user_account ON DELETE CASCADE,
    password_hash       bytea       NOT NULL,                  -- sealed
    create_time         timestamptz NOT NULL                   -- when another took its place
);
CREATE INDEX password_history_user_id_idx ON :schema.password_history (user_id, password_history_id);
SELECT :schema.mark_user('password_history', 'what somebody chose before is looked at for them alone', verbs => 'INSERT, DELETE');
-- Nobody reads a hash but the function.
GRANT SELECT (password_history_id, user_id) ON :schema.password_history TO :schema_app;
SELECT :schema.allow_definer('password_history');
-- Retention deletes those beyond a setting that was lowered, and reads no hash either.
GRANT SELECT (password_history_id, user_id), DELETE ON :schema.password_history TO :schema_worker;
CREATE POLICY worker ON :schema.password_history AS PERMISSIVE FOR ALL TO :schema_worker USING (true) WITH CHECK (false);
CREATE FUNCTION :schema.own_password_hashes(at_most bigint) RETURNS TABLE (password_hash bytea)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = ''
    AS $$
        SELECT last.password_hash FROM (
            SELECT u.password_hash, NULL::uuid AS id FROM :schema.user_account u WHERE u.user_id = :schema.current_user_id() AND u.state = 2
            UNION ALL
            SELECT h.password_hash, h.password_history_id FROM :schema.password_history h WHERE h.user_id = :schema.current_user_id()
        ) last ORDER BY last.id DESC NULLS FIRST LIMIT at_most
    $$;
GRANT EXECUTE ON FUNCTION :schema.own_password_hashes(bigint) TO :schema_app;
