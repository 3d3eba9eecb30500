-- Why: who holds which role where, and which workspaces there are: identity's memberships as authorization knows them, in the order of
-- identity's log. Every embedded authorizer is fed from these two tables. Expand step; locks nothing that exists.
CREATE TABLE :schema.assignment (
    organization_id  uuid        NOT NULL,   -- the nil UUID: the system tier
    user_id          uuid        NOT NULL,
    workspace_id     uuid        NOT NULL,   -- the nil UUID: the organization itself
    role             smallint    CHECK (role BETWEEN 1 AND 4),   -- muster.annotations.v1.BaseRole; NULL once it was taken away
    source_version   bigint      NOT NULL,   -- the membership's; it only grows
    source_position  bigint      NOT NULL,   -- of the event in identity's log: an older event changes nothing
    update_time      timestamptz NOT NULL,
    PRIMARY KEY (organization_id, user_id, workspace_id)
);
SELECT :schema.mark_tenant('assignment', 'a role is held in one organization; system admins stand in the system organization', verbs => 'SELECT, INSERT, UPDATE');
SELECT :schema.grant_worker('assignment', 'SELECT');

CREATE TABLE :schema.workspace (
    organization_id  uuid        NOT NULL,
    workspace_id     uuid        NOT NULL,
    create_time      timestamptz NOT NULL,   -- when authorization heard of it
    PRIMARY KEY (organization_id, workspace_id)
);
SELECT :schema.mark_tenant('workspace', 'a workspace is part of one organization', verbs => 'SELECT, INSERT');
SELECT :schema.grant_worker('workspace', 'SELECT');
