-- Why: what every service's schema stands on: who the transaction is for, the marks of a table's class, and the tables of the event
-- plumbing. Expand step; locks nothing that exists. `:schema` becomes the service's schema before it runs.

-- Nothing is granted by being made: a table's mark or an explicit GRANT gives, nothing else does.
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
GRANT USAGE ON SCHEMA :schema TO :schema_app, :schema_worker;

-- Who the transaction is for. Unset reads as NULL (a setting that was once set locally reads '' later), and NULL matches no row.
-- Policies wrap these in (SELECT ...), so that they run once a statement and not once a row.
CREATE FUNCTION :schema.tenant() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(current_setting('muster.organization', true), '')::uuid;
CREATE FUNCTION :schema.current_user_id() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(current_setting('muster.user', true), '')::uuid;
CREATE FUNCTION :schema.every_workspace() RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE
    RETURN coalesce(current_setting('muster.workspaces', true) = '*', false);
CREATE FUNCTION :schema.workspaces() RETURNS uuid[] LANGUAGE sql STABLE PARALLEL SAFE
    RETURN CASE WHEN current_setting('muster.workspaces', true) = '*' THEN '{}'::uuid[]
                ELSE string_to_array(nullif(current_setting('muster.workspaces', true), ''), ',')::uuid[] END;
CREATE FUNCTION :schema.reaches_workspace(workspace uuid) RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE
    RETURN :schema.every_workspace() OR coalesce(workspace = ANY (:schema.workspaces()), false);
-- Whether a call of scope SYSTEM runs, which system admins alone may make. For the exception of a table that such a call reads across tenants.
CREATE FUNCTION :schema.in_system_scope() RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE
    RETURN coalesce(current_setting('muster.system', true) = 'on', false);
GRANT EXECUTE ON FUNCTION :schema.tenant(), :schema.current_user_id(), :schema.every_workspace(), :schema.workspaces(),
    :schema.reaches_workspace(uuid), :schema.in_system_scope() TO :schema_app, :schema_worker;

-- The marks. Each migration calls one for each table it makes; a test refuses a table without.
-- Every policy of the app role stands on a permissive `allow` and a RESTRICTIVE `floor`: restrictive policies are ANDed, so that no
-- later permissive policy can cross a tenant's border. An exception goes inside the floor.
CREATE FUNCTION :schema.mark_privileges(name text, class text, why text, verbs text) RETURNS void LANGUAGE plpgsql AS $mark$
BEGIN
    EXECUTE format('REVOKE ALL ON :schema.%I FROM PUBLIC, :schema_app, :schema_worker', name);
    IF verbs <> '' THEN
        EXECUTE format('GRANT %s ON :schema.%I TO :schema_app', verbs, name);
    END IF;
    EXECUTE format('COMMENT ON TABLE :schema.%I IS %L', name, class || ': ' || why);
END $mark$;

-- `reads` is never less than `writes`; where they are the same, so is their policy.
CREATE FUNCTION :schema.mark_floor(name text, reads text, writes text) RETURNS void LANGUAGE plpgsql AS $mark$
BEGIN
    EXECUTE format('ALTER TABLE :schema.%I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('ALTER TABLE :schema.%I FORCE ROW LEVEL SECURITY', name);
    EXECUTE format('CREATE POLICY allow ON :schema.%I AS PERMISSIVE FOR ALL TO :schema_app USING (true) WITH CHECK (true)', name);
    IF reads = writes THEN
        EXECUTE format('CREATE POLICY floor ON :schema.%I AS RESTRICTIVE FOR ALL TO :schema_app USING (%s) WITH CHECK (%s)', name, writes, writes);
        RETURN;
    END IF;
    EXECUTE format('CREATE POLICY floor ON :schema.%I AS RESTRICTIVE FOR SELECT TO :schema_app USING (%s)', name, reads);
    EXECUTE format('CREATE POLICY floor_insert ON :schema.%I AS RESTRICTIVE FOR INSERT TO :schema_app WITH CHECK (%s)', name, writes);
    EXECUTE format('CREATE POLICY floor_update ON :schema.%I AS RESTRICTIVE FOR UPDATE TO :schema_app USING (%s) WITH CHECK (%s)', name, writes, writes);
    EXECUTE format('CREATE POLICY floor_delete ON :schema.%I AS RESTRICTIVE FOR DELETE TO :schema_app USING (%s)', name, writes);
END $mark$;

-- TENANT: rows of the caller's organization; others are read, and never changed, where `exception` holds.
CREATE FUNCTION :schema.mark_tenant(name text, why text, verbs text DEFAULT 'SELECT, INSERT, UPDATE, DELETE', exception text DEFAULT 'false')
    RETURNS void LANGUAGE plpgsql AS $mark$
DECLARE
    floor text := 'organization_id = (SELECT :schema.tenant())';
BEGIN
    PERFORM :schema.mark_privileges(name, 'TENANT', why, verbs);
    PERFORM :schema.mark_floor(name, CASE exception WHEN 'false' THEN floor ELSE format('%s OR (%s)', floor, exception) END, floor);
END $mark$;

-- WORKSPACE: as TENANT, and of a workspace that the caller reaches.
CREATE FUNCTION :schema.mark_workspace(name text, why text, verbs text DEFAULT 'SELECT, INSERT, UPDATE, DELETE', exception text DEFAULT 'false')
    RETURNS void LANGUAGE plpgsql AS $mark$
DECLARE
    floor text := 'organization_id = (SELECT :schema.tenant()) AND ((SELECT :schema.every_workspace()) OR workspace_id = ANY ((SELECT :schema.workspaces())::uuid[]))';
BEGIN
    PERFORM :schema.mark_privileges(name, 'WORKSPACE', why, verbs);
    PERFORM :schema.mark_floor(name, CASE exception WHEN 'false' THEN floor ELSE format('(%s) OR (%s)', floor, exception) END, floor);
END $mark$;

-- USER: rows of the caller; others' rows are read where `readable` holds and changed where `writable` holds.
CREATE FUNCTION :schema.mark_user(name text, why text, verbs text DEFAULT 'SELECT, INSERT, UPDATE, DELETE', readable text DEFAULT 'false',
    writable text DEFAULT 'false') RETURNS void LANGUAGE plpgsql AS $mark$
DECLARE
    mine text := 'user_id = (SELECT :schema.current_user_id())';
    reads text := format('%s OR (%s) OR (%s)', mine, readable, writable);
    writes text := format('%s OR (%s)', mine, writable);
BEGIN
    PERFORM :schema.mark_privileges(name, 'USER', why, verbs);
    PERFORM :schema.mark_floor(name, reads, writes);
END $mark$;

-- SERVICE: no row-level security; `why` says why none is needed.
CREATE FUNCTION :schema.mark_service(name text, why text, verbs text DEFAULT 'SELECT, INSERT, UPDATE, DELETE') RETURNS void LANGUAGE sql
    AS $mark$ SELECT :schema.mark_privileges(name, 'SERVICE', why, verbs) $mark$;

-- Lets the worker role do `verbs` on every row of one named table: relay, snapshot, retention.
CREATE FUNCTION :schema.grant_worker(name text, verbs text) RETURNS void LANGUAGE plpgsql AS $mark$
BEGIN
    EXECUTE format('GRANT %s ON :schema.%I TO :schema_worker', verbs, name);
    IF (SELECT relrowsecurity FROM pg_class WHERE oid = format(':schema.%I', name)::regclass) THEN
        EXECUTE format('CREATE POLICY worker ON :schema.%I AS PERMISSIVE FOR ALL TO :schema_worker USING (true) WITH CHECK (true)', name);
    END IF;
END $mark$;

-- Lets SECURITY DEFINER functions of the owner read one named table before there is a principal. FORCE binds the owner too.
CREATE FUNCTION :schema.allow_definer(name text) RETURNS void LANGUAGE plpgsql AS $mark$
BEGIN
    EXECUTE format('CREATE POLICY definer ON :schema.%I AS PERMISSIVE FOR SELECT TO :schema_owner USING (true)', name);
END $mark$;

-- Events that a transaction made, until the sequencer moves them into the log.
CREATE TABLE :schema.outbox (
    seq              bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id         uuid        NOT NULL,
    organization_id  uuid        NOT NULL,
    type             text        NOT NULL,
    aggregate        text        NOT NULL,
    aggregate_id     text        NOT NULL,
    create_time      timestamptz NOT NULL,
    audit_action     text,
    actor_kind       text        NOT NULL CHECK (actor_kind IN ('USER', 'SERVICE', 'ANONYMOUS')),
    actor_id         text        NOT NULL,
    session_id       uuid,
    request_id       text        NOT NULL,   -- the correlation id, x-request-id
    traceparent      text        NOT NULL,
    causation_id     uuid,                   -- the event that led to this one
    origin           bytea,                  -- network address and agent of the call, sealed for this event
    redacted_paths   text[]      NOT NULL,
    body             bytea       NOT NULL CHECK (octet_length(body) <= 262144)
) WITH (autovacuum_vacuum_scale_factor = 0.01);
SELECT :schema.mark_tenant('outbox', 'an event belongs to the organization it happened in', verbs => 'INSERT');
SELECT :schema.grant_worker('outbox', 'SELECT, DELETE');

-- The log: every event of the service, at a gap-free position. Replay source, timeline, what Watch RPCs read.
CREATE TABLE :schema.event (
    position         bigint      PRIMARY KEY,
    event_id         uuid        NOT NULL UNIQUE,
    organization_id  uuid        NOT NULL,
    type             text        NOT NULL,
    aggregate        text        NOT NULL,
    aggregate_id     text        NOT NULL,
    create_time      timestamptz NOT NULL,
    audit_action     text,
    actor_kind       text        NOT NULL,
    actor_id         text        NOT NULL,
    session_id       uuid,
    request_id       text        NOT NULL,
    traceparent      text        NOT NULL,
    causation_id     uuid,
    origin           bytea,
    redacted_paths   text[]      NOT NULL,
    body             bytea       NOT NULL
);
CREATE INDEX event_aggregate_idx ON :schema.event (aggregate, aggregate_id, position);
SELECT :schema.mark_tenant('event', 'an event belongs to the organization it happened in', verbs => 'SELECT');
SELECT :schema.grant_worker('event', 'SELECT, INSERT, DELETE');

-- Where the log ends and how far it is on the bus. Its one row, locked, fences off a second sequencer.
CREATE TABLE :schema.event_head (
    one                boolean PRIMARY KEY DEFAULT true CHECK (one),
    position           bigint  NOT NULL DEFAULT 0,
    published_position bigint  NOT NULL DEFAULT 0 CHECK (published_position <= position)
);
INSERT INTO :schema.event_head DEFAULT VALUES;
SELECT :schema.mark_service('event_head', 'two counters of the whole log', verbs => '');
SELECT :schema.grant_worker('event_head', 'SELECT, UPDATE');

-- Events of other services whose effect is committed here: written in the effect's transaction.
CREATE TABLE :schema.inbox (
    consumer    text        NOT NULL,
    event_id    uuid        NOT NULL,
    service     text        NOT NULL,
    position    bigint      NOT NULL,
    handle_time timestamptz NOT NULL,
    PRIMARY KEY (consumer, event_id)
);
CREATE INDEX inbox_handle_time_idx ON :schema.inbox (handle_time);
SELECT :schema.mark_service('inbox', 'ids of events alone; consumers serve every organization', verbs => 'SELECT, INSERT');
SELECT :schema.grant_worker('inbox', 'SELECT, DELETE');

-- How often an event was tried in vain. A row goes when the event is taken or given up; until then it holds back later events of its aggregate.
CREATE TABLE :schema.inbox_attempt (
    consumer    text        NOT NULL,
    event_id    uuid        NOT NULL,
    organization_id uuid    NOT NULL,
    service     text        NOT NULL,
    aggregate_id text       NOT NULL,
    position    bigint      NOT NULL,
    attempts    integer     NOT NULL,
    cause       text        NOT NULL,
    update_time timestamptz NOT NULL,
    PRIMARY KEY (consumer, event_id)
);
SELECT :schema.mark_service('inbox_attempt', 'ids of events and causes alone; consumers serve every organization', verbs => 'SELECT, DELETE');
SELECT :schema.grant_worker('inbox_attempt', 'SELECT, INSERT, UPDATE, DELETE');

-- Messages that a consumer gave up on, as they came.
CREATE TABLE :schema.dead_letter (
    dead_letter_id  uuid        PRIMARY KEY,
    consumer        text        NOT NULL,
    event_id        uuid        NOT NULL,    -- made from stream and sequence when the envelope can't be read
    organization_id uuid        NOT NULL,    -- nil when the envelope can't be read
    stream          text        NOT NULL,
    stream_sequence bigint      NOT NULL,
    envelope        bytea       NOT NULL,    -- muster.common.v1.EventEnvelope, sealed: it tells network address and agent
    body            bytea       NOT NULL,
    cause           text        NOT NULL,
    attempts        integer     NOT NULL,
    create_time     timestamptz NOT NULL,
    replay_time     timestamptz,             -- when an operator asked for one more try; NULL when nobody did, or it was made
    UNIQUE (consumer, event_id)
);
CREATE INDEX dead_letter_replay_idx ON :schema.dead_letter (consumer, dead_letter_id) WHERE replay_time IS NOT NULL;
SELECT :schema.mark_service('dead_letter', 'what could not be read has no organization; operators alone see it', verbs => 'SELECT, UPDATE, DELETE');
SELECT :schema.grant_worker('dead_letter', 'SELECT, INSERT, UPDATE, DELETE');

-- Until when a consumer had taken everything that a service told; by the clock of this server, which all replicas ask.
CREATE TABLE :schema.inbox_freshness (
    consumer       text        NOT NULL,
    service        text        NOT NULL,
    caught_up_time timestamptz NOT NULL,
    PRIMARY KEY (consumer, service)
) WITH (fillfactor = 50);
SELECT :schema.mark_service('inbox_freshness', 'one time for each consumer and source', verbs => '');
SELECT :schema.grant_worker('inbox_freshness', 'SELECT, INSERT, UPDATE');

-- Requests that were answered, with the answer: a repeated one gets the same answer and no second effect. Kept 24 hours.
CREATE TABLE :schema.request (
    organization_id uuid        NOT NULL,
    actor_id        text        NOT NULL,
    method          text        NOT NULL,
    request_id      uuid        NOT NULL,
    body_sha256     bytea       NOT NULL,
    answer          bytea,                   -- sealed; NULL only inside the transaction that claimed it
    create_time     timestamptz NOT NULL,
    PRIMARY KEY (organization_id, actor_id, method, request_id)
);
CREATE INDEX request_create_time_idx ON :schema.request (create_time);
SELECT :schema.mark_tenant('request', 'an answer belongs to the organization it was given in', verbs => 'SELECT, INSERT, UPDATE');
SELECT :schema.grant_worker('request', 'SELECT, DELETE');
