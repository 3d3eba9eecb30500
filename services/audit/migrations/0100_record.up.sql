-- Why: one row for each event of any service, written once by the inbox and never changed. Expand step; locks nothing that exists.
CREATE TABLE :schema.record (
    organization_id  uuid        NOT NULL,
    audit_event_id   uuid        NOT NULL,   -- the id of the event it records
    service          text        NOT NULL,
    source_position  bigint      NOT NULL,
    action           text        NOT NULL,
    type             text        NOT NULL,
    resource_type    text        NOT NULL,
    resource_id      text        NOT NULL,
    actor_kind       smallint    NOT NULL,
    actor_id         text        NOT NULL,
    session_id       text        NOT NULL,
    request_id       text        NOT NULL,
    trace_id         text        NOT NULL,
    client_address   bytea,                  -- sealed
    user_agent       bytea,                  -- sealed
    redacted_paths   text[]      NOT NULL,
    body             bytea       NOT NULL,   -- the event as it was on the bus
    create_time      timestamptz NOT NULL,
    record_time      timestamptz NOT NULL,
    PRIMARY KEY (organization_id, audit_event_id),
    UNIQUE (service, source_position)
);
CREATE INDEX record_time_idx ON :schema.record (organization_id, create_time DESC, audit_event_id DESC);
CREATE INDEX record_resource_idx ON :schema.record (organization_id, resource_type, resource_id, create_time DESC, audit_event_id DESC);
CREATE INDEX record_actor_idx ON :schema.record (organization_id, actor_id, create_time DESC, audit_event_id DESC);
CREATE INDEX record_action_idx ON :schema.record (organization_id, action, create_time DESC, audit_event_id DESC);
CREATE INDEX record_request_idx ON :schema.record (organization_id, request_id);
SELECT :schema.mark_tenant('record', 'a record belongs to the organization its event happened in', verbs => 'SELECT, INSERT');

-- Nobody changes a record, whatever was granted to them. By statement, so that who sees no row of a tenant is refused too.
CREATE FUNCTION :schema.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit records are never changed or deleted' USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER record_is_final BEFORE UPDATE OR DELETE OR TRUNCATE ON :schema.record
    FOR EACH STATEMENT EXECUTE FUNCTION :schema.refuse_change();
