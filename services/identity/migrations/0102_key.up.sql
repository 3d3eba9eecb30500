-- Why: the keys that sign access tokens, and the tokens to refuse before their time. Expand step; locks nothing that exists.
CREATE TABLE :schema.signing_key (
    key_id       text        PRIMARY KEY,                                         -- RFC 7638 thumbprint of the public half
    algorithm    text        NOT NULL CHECK (algorithm IN ('EdDSA', 'RS256')),
    state        smallint    NOT NULL CHECK (state IN (1, 2, 3, 4)),              -- PUBLISHED, ACTIVE, RETIRED, REVOKED
    private_key  bytea       CHECK ((private_key IS NULL) = (state IN (3, 4))),   -- PKCS #8, sealed; gone once it no longer signs
    public_key   text        NOT NULL,                                            -- RFC 7517, JSON
    create_time   timestamptz NOT NULL,
    activate_time timestamptz CHECK (state = 4 OR (activate_time IS NULL) = (state = 1)),   -- when it began to sign
    retire_time   timestamptz CHECK (state <> 3 OR retire_time IS NOT NULL),       -- when it stopped
    revoke_time   timestamptz CHECK ((revoke_time IS NULL) = (state <> 4))         -- when it was taken out of the set before its time
);
-- At most one signs, and at most one is next; they may be of different algorithms.
CREATE UNIQUE INDEX signing_key_active_key ON :schema.signing_key (state) WHERE state = 2;
CREATE UNIQUE INDEX signing_key_published_key ON :schema.signing_key (state) WHERE state = 1;
SELECT :schema.mark_service('signing_key', 'one key set signs for every organization', verbs => 'SELECT, INSERT, UPDATE');

CREATE TABLE :schema.revocation (
    kind        smallint    NOT NULL CHECK (kind IN (1, 2, 3)),   -- SESSION, USER, ORGANIZATION
    subject_id  uuid        NOT NULL,
    not_before  timestamptz NOT NULL,
    expire_time timestamptz NOT NULL,                             -- no token it could match lives longer; pruned then
    PRIMARY KEY (kind, subject_id)
);
CREATE INDEX revocation_expire_time_idx ON :schema.revocation (expire_time);
SELECT :schema.mark_service('revocation', 'ids of what is over; the verifiers of every service need all of them', verbs => 'SELECT, INSERT, UPDATE');
SELECT :schema.grant_worker('revocation', 'SELECT, DELETE');
