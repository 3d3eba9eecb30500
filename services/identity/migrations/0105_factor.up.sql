-- Why: a session tells by which methods it was authenticated, and when. Expand step; rewrites the sessions, which are empty.
ALTER TABLE :schema.session
    ADD COLUMN amr       smallint    NOT NULL CHECK (amr BETWEEN 1 AND 7),   -- a set: 1 password, 2 TOTP, 4 recovery code
    ADD COLUMN auth_time timestamptz NOT NULL;                               -- when it last was authenticated
