-- Why: second factors, and sessions that tell by which methods they were authenticated. Expand step; rewrites the sessions, which are empty.
ALTER TABLE :schema.session
    ADD COLUMN amr       smallint    NOT NULL CHECK (amr BETWEEN 1 AND 7),   -- a set: 1 password, 2 TOTP, 4 recovery code
    ADD COLUMN auth_time timestamptz NOT NULL,                               -- when it last was authenticated
    ADD COLUMN failures  smallint    NOT NULL DEFAULT 0,                     -- wrong passwords and codes in a row, since it was
    DROP CONSTRAINT session_state_check,
    ADD CONSTRAINT session_state_check CHECK (state IN (1, 2, 3));           -- ACTIVE, REVOKED, CHALLENGED
-- Challenges that nobody answered are swept.
CREATE INDEX session_challenged_idx ON :schema.session (expire_time) WHERE state = 3;

-- An authenticator app. `last_step` is the ledger that makes a code work once: it only ever grows, in one conditional UPDATE, and a code of its
-- step or an earlier one is no longer good.
CREATE TABLE :schema.factor (
    user_id      uuid        NOT NULL REFERENCES :schema.user_account ON DELETE CASCADE,
    factor_id    uuid        NOT NULL,
    display_name bytea       NOT NULL,                                       -- sealed
    secret       bytea       NOT NULL,                                       -- sealed; base32
    state        smallint    NOT NULL CHECK (state IN (1, 2)),               -- PENDING, CONFIRMED
    last_step    bigint      NOT NULL DEFAULT 0,                             -- of 30 s since 1970
    create_time  timestamptz NOT NULL,
    confirm_time timestamptz CHECK ((confirm_time IS NULL) = (state = 1)),
    expire_time  timestamptz CHECK ((expire_time IS NULL) = (state = 2)),    -- one that is PENDING lapses
    PRIMARY KEY (user_id, factor_id)
);
-- One that waits at a time: another one takes its place.
CREATE UNIQUE INDEX factor_pending_key ON :schema.factor (user_id) WHERE state = 1;
CREATE INDEX factor_expire_time_idx ON :schema.factor (expire_time) WHERE state = 1;
SELECT :schema.mark_user('factor', 'a second factor is its user''s alone');
-- Retention deletes those that lapsed, and can't touch one that is in force.
GRANT SELECT (user_id, factor_id, state, expire_time), DELETE ON :schema.factor TO :schema_worker;
CREATE POLICY worker ON :schema.factor AS PERMISSIVE FOR ALL TO :schema_worker USING (state = 1) WITH CHECK (false);

-- Codes that are unused; using one deletes its row. Keyed digests and no slow hash: a code has 120 bits, which nobody guesses at any speed.
CREATE TABLE :schema.recovery_code (
    user_id uuid  NOT NULL REFERENCES :schema.user_account ON DELETE CASCADE,
    digest  bytea NOT NULL,                                                  -- HMAC-SHA-256 of user and code
    PRIMARY KEY (user_id, digest)
);
SELECT :schema.mark_user('recovery_code', 'a recovery code is its user''s alone', verbs => 'SELECT, INSERT, DELETE');

-- The one way to somebody else's factors: a system admin takes all of them away, the recovery codes too; sessions fall to aal 1, and those that
-- wait for a code are over. Gives how many were in force. It checks by itself who asks, and reads nothing out.
CREATE FUNCTION :schema.reset_factors(wanted uuid) RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path = ''
    AS $$
        WITH allowed AS MATERIALIZED (SELECT wanted AS user_id WHERE :schema.is_system_admin()),
             gone AS (DELETE FROM :schema.factor f USING allowed a WHERE f.user_id = a.user_id RETURNING f.state),
             codes AS (DELETE FROM :schema.recovery_code c USING allowed a WHERE c.user_id = a.user_id),
             fallen AS (UPDATE :schema.session s SET amr = s.amr & 1, state = CASE s.state WHEN 3 THEN 2 ELSE s.state END
                        FROM allowed a WHERE s.user_id = a.user_id AND s.state IN (1, 3))
        SELECT count(*) FROM gone WHERE state = 2
    $$;
GRANT EXECUTE ON FUNCTION :schema.reset_factors(uuid) TO :schema_app;
SELECT :schema.allow_definer('factor');
SELECT :schema.allow_definer('recovery_code');
SELECT :schema.allow_definer('session');
CREATE POLICY reset ON :schema.factor AS PERMISSIVE FOR DELETE TO :schema_owner USING (true);
CREATE POLICY reset ON :schema.recovery_code AS PERMISSIVE FOR DELETE TO :schema_owner USING (true);
CREATE POLICY reset ON :schema.session AS PERMISSIVE FOR UPDATE TO :schema_owner USING (true) WITH CHECK (true);
