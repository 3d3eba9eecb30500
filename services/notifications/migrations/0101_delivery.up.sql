-- Why: what is on its way to people by channels that lead out of the suite, each try of it, and the mailbox of a suite without an SMTP server.
-- No address is stored but sealed in the mailbox. The key (event, person, channel) is kept longer than events live in any log, as the inbox keeps its own. Expand step;
-- locks nothing that exists.
CREATE TABLE :schema.delivery (
    organization_id uuid        NOT NULL,                                   -- nil: of no organization
    delivery_id     uuid        NOT NULL,
    recipient_id    uuid        NOT NULL,                                   -- a user; of the template `invitation`, the invitation
    event_id        uuid        NOT NULL,
    channel         smallint    NOT NULL CHECK (channel = 1),               -- muster.notifications.v1.Channel
    category        smallint    NOT NULL CHECK (category BETWEEN 1 AND 4),  -- muster.notifications.v1.Category
    template        text        NOT NULL,
    data            jsonb       NOT NULL,                                   -- what the template is filled with; nothing personal
    state           smallint    NOT NULL CHECK (state BETWEEN 1 AND 7),     -- muster.notifications.v1.DeliveryState
    attempt_count   integer     NOT NULL,
    attempt_limit   integer     NOT NULL,
    unknown_count   integer     NOT NULL,                                   -- attempts of which nobody can tell how they ended
    due_time        timestamptz,                                            -- when it is looked at next
    lease_token     uuid,                                                   -- whose SENDING it is: another token's outcome is not written
    lease_expire_time timestamptz,                                          -- by this server's clock: those of replicas may differ
    handed_over     boolean     NOT NULL DEFAULT false,                     -- whether the last attempt may have reached an SMTP server; said before it may
    create_time     timestamptz NOT NULL,
    update_time     timestamptz NOT NULL,
    PRIMARY KEY (organization_id, delivery_id),
    UNIQUE (event_id, recipient_id, channel),
    CHECK ((state = 2) = (lease_token IS NOT NULL)),
    CHECK ((state = 2) = (lease_expire_time IS NOT NULL)),
    CHECK (state NOT IN (1, 4) OR due_time IS NOT NULL),
    CHECK (state <> 5 OR handed_over)                                       -- of what never left nobody has to wonder
);
CREATE INDEX delivery_create_time_idx ON :schema.delivery (organization_id, create_time DESC, delivery_id DESC);
CREATE INDEX delivery_due_time_idx ON :schema.delivery (due_time) WHERE due_time IS NOT NULL;
CREATE INDEX delivery_lease_expire_time_idx ON :schema.delivery (lease_expire_time) WHERE lease_expire_time IS NOT NULL;
CREATE INDEX delivery_retention_idx ON :schema.delivery USING brin (create_time);
SELECT :schema.mark_tenant('delivery', 'a delivery belongs to the organization its event happened in', verbs => 'SELECT, INSERT');
GRANT UPDATE (state, attempt_count, attempt_limit, unknown_count, due_time, lease_token, lease_expire_time, update_time) ON :schema.delivery TO :schema_app;
-- Senders serve every organization: they take what is due, whose ever it is. So does retention.
SELECT :schema.grant_worker('delivery', 'SELECT, UPDATE, DELETE');

CREATE TABLE :schema.delivery_attempt (
    organization_id uuid        NOT NULL,
    delivery_id     uuid        NOT NULL,
    number          integer     NOT NULL,
    outcome         smallint    CHECK (outcome BETWEEN 1 AND 5),            -- muster.notifications.v1.AttemptOutcome; NULL: not ended
    smtp_code       smallint,                                               -- the text of an answer may name the address: it is not kept
    start_time      timestamptz NOT NULL,
    end_time        timestamptz,
    PRIMARY KEY (organization_id, delivery_id, number),
    FOREIGN KEY (organization_id, delivery_id) REFERENCES :schema.delivery (organization_id, delivery_id)
);
SELECT :schema.mark_tenant('delivery_attempt', 'an attempt belongs to its delivery', verbs => 'SELECT');
GRANT UPDATE (outcome, smtp_code, end_time) ON :schema.delivery_attempt TO :schema_app;
SELECT :schema.grant_worker('delivery_attempt', 'SELECT, INSERT, DELETE');

CREATE TABLE :schema.mail (
    organization_id uuid        NOT NULL,
    mail_id         uuid        NOT NULL,
    delivery_id     uuid        NOT NULL,
    template        text        NOT NULL,
    to_index        bytea       NOT NULL,                                   -- blind index of the address
    content         bytea       NOT NULL,                                   -- address, subject, text, HTML; sealed
    create_time     timestamptz NOT NULL,
    PRIMARY KEY (organization_id, mail_id)
);
CREATE INDEX mail_create_time_idx ON :schema.mail (create_time DESC, mail_id DESC);
SELECT :schema.mark_tenant('mail', 'a mail belongs to its delivery; the mailbox shows system admins all', verbs => 'SELECT, INSERT',
    exception => '(SELECT :schema.in_system_scope())');
-- The mailbox keeps the newest alone.
SELECT :schema.grant_worker('mail', 'SELECT, DELETE');
