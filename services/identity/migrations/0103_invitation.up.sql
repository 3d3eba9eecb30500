-- Why: invitations into an organization. Expand step; locks nothing that exists but the organizations, which are empty.
CREATE TABLE :schema.invitation (
    organization_id  uuid        NOT NULL REFERENCES :schema.organization,
    invitation_id    uuid        NOT NULL UNIQUE,
    email            bytea       NOT NULL,          -- sealed
    email_index      text        NOT NULL,          -- blind index of the normalised address, in hex
    role             smallint    NOT NULL CHECK (role BETWEEN 1 AND 4),              -- VIEWER, MEMBER, ADMIN, OWNER
    workspace_id     uuid,                          -- a workspace to join with it
    workspace_role   smallint    CHECK (workspace_role BETWEEN 1 AND 4),
    state            smallint    NOT NULL CHECK (state BETWEEN 1 AND 5),             -- PENDING, ACCEPTED, DECLINED, REVOKED, EXPIRED
    generation       bigint      NOT NULL,          -- the token that is good
    inviter_id       uuid        NOT NULL,
    accepted_user_id uuid        CHECK ((accepted_user_id IS NOT NULL) = (state = 2)),
    version          bigint      NOT NULL,
    create_time      timestamptz NOT NULL,
    update_time      timestamptz NOT NULL,
    expire_time      timestamptz NOT NULL,          -- one that is past it is EXPIRED, whether or not the row says so
    PRIMARY KEY (organization_id, invitation_id),
    FOREIGN KEY (organization_id, workspace_id) REFERENCES :schema.workspace,
    CHECK ((workspace_id IS NULL) = (workspace_role IS NULL))
);
-- One that waits for each address. One that lapsed is told to be so before another takes its place.
CREATE UNIQUE INDEX invitation_pending_key ON :schema.invitation (organization_id, email_index) WHERE state = 1;
CREATE INDEX invitation_create_time_idx ON :schema.invitation (organization_id, create_time, invitation_id);
CREATE INDEX invitation_inviter_id_idx ON :schema.invitation (organization_id, inviter_id) WHERE state = 1;
CREATE INDEX invitation_expire_time_idx ON :schema.invitation (expire_time);
SELECT :schema.mark_tenant('invitation', 'whom an organization invited is its own matter', verbs => 'SELECT, INSERT, UPDATE');
SELECT :schema.allow_definer('invitation');
SELECT :schema.grant_worker('invitation', 'SELECT, DELETE');

-- Before there is a member: the organization that a mailed token is about.
CREATE FUNCTION :schema.inviting_organization(wanted uuid) RETURNS uuid LANGUAGE sql STABLE SECURITY DEFINER SET search_path = ''
    AS $$ SELECT i.organization_id FROM :schema.invitation i WHERE i.invitation_id = wanted $$;
GRANT EXECUTE ON FUNCTION :schema.inviting_organization(uuid) TO :schema_app;
