-- Takes second factors away with all recovery codes, sessions that wait for one, and what is known of how sessions were authenticated.
DROP FUNCTION :schema.reset_factors(uuid);
DROP POLICY reset ON :schema.session;
DROP POLICY definer ON :schema.session;
DROP TABLE :schema.recovery_code;
DROP TABLE :schema.factor;
-- The floor binds the owner too.
ALTER TABLE :schema.session NO FORCE ROW LEVEL SECURITY;
DELETE FROM :schema.session WHERE state = 3;
ALTER TABLE :schema.session FORCE ROW LEVEL SECURITY;
DROP INDEX :schema.session_challenged_idx;
ALTER TABLE :schema.session
    DROP COLUMN amr,
    DROP COLUMN auth_time,
    DROP COLUMN failures,
    DROP CONSTRAINT session_state_check,
    ADD CONSTRAINT session_state_check CHECK (state IN (1, 2));
