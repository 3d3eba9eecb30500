-- Why: organizations, their workspaces, and who is a member with which base role. Expand step; locks nothing that exists but the
-- accounts, which are empty.
CREATE TABLE :schema.organization (
    organization_id uuid        PRIMARY KEY,
    slug            text        NOT NULL UNIQUE,
    display_name    text        NOT NULL,
    version         bigint      NOT NULL DEFAULT 1,
    create_time     timestamptz NOT NULL,
    update_time     timestamptz NOT NULL
);

CREATE TABLE :schema.organization_member (
    organization_id uuid        NOT NULL REFERENCES :schema.organization,
    user_id         uuid        NOT NULL REFERENCES :schema.user_account,
    role            smallint    NOT NULL CHECK (role BETWEEN 1 AND 4),  -- VIEWER, MEMBER, ADMIN, OWNER
    version         bigint      NOT NULL,
    create_time     timestamptz NOT NULL,
    update_time     timestamptz NOT NULL,
    PRIMARY KEY (organization_id, user_id)
);
CREATE INDEX organization_member_user_id_idx ON :schema.organization_member (user_id);
CREATE INDEX organization_member_create_time_idx ON :schema.organization_member (organization_id, create_time, user_id);

CREATE TABLE :schema.workspace (
    organization_id uuid        NOT NULL REFERENCES :schema.organization,
    workspace_id    uuid        NOT NULL,
    slug            text        NOT NULL,
    display_name    text        NOT NULL,
    version         bigint      NOT NULL DEFAULT 1,
    create_time     timestamptz NOT NULL,
    update_time     timestamptz NOT NULL,
    PRIMARY KEY (organization_id, workspace_id),
    UNIQUE (organization_id, slug)
);
CREATE INDEX workspace_create_time_idx ON :schema.workspace (organization_id, create_time, workspace_id);

-- The keys make a membership across tenants impossible, and one without a membership of the organization too. Whoever leaves the
-- organization is taken out of its workspaces with an event for each; the cascade stands behind that.
CREATE TABLE :schema.workspace_member (
    organization_id uuid        NOT NULL,
    workspace_id    uuid        NOT NULL,
    user_id         uuid        NOT NULL,
    role            smallint    NOT NULL CHECK (role BETWEEN 1 AND 4),
    version         bigint      NOT NULL,
    create_time     timestamptz NOT NULL,
    update_time     timestamptz NOT NULL,
    PRIMARY KEY (organization_id, workspace_id, user_id),
    FOREIGN KEY (organization_id, workspace_id) REFERENCES :schema.workspace ON DELETE CASCADE,
    FOREIGN KEY (organization_id, user_id) REFERENCES :schema.organization_member ON DELETE CASCADE
);
CREATE INDEX workspace_member_user_id_idx ON :schema.workspace_member (organization_id, user_id);
CREATE INDEX workspace_member_create_time_idx ON :schema.workspace_member (organization_id, workspace_id, create_time, user_id);

-- The version at which somebody was removed: who is added again goes on from there, so that no reader takes the old place for the new.
CREATE TABLE :schema.removed_member (
    organization_id uuid   NOT NULL REFERENCES :schema.organization,
    workspace_id    uuid   NOT NULL,   -- the nil UUID for the organization itself
    user_id         uuid   NOT NULL,
    version         bigint NOT NULL,
    PRIMARY KEY (organization_id, workspace_id, user_id)
);

-- Look-ups across floors, one function each. All are read only, take no name from outside, and answer no more than their caller needs. Those
-- that every sign-in and refresh asks are plpgsql, which keeps their plans: a function in SQL that is SECURITY DEFINER is planned at each call.

-- The memberships of the user of this transaction, wherever they are.
CREATE FUNCTION :schema.my_memberships() RETURNS TABLE (organization_id uuid, workspace_id uuid, role smallint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = ''
    AS $$
    BEGIN
        RETURN QUERY
        SELECT m.organization_id, NULL::uuid, m.role FROM :schema.organization_member m WHERE m.user_id = :schema.current_user_id()
        UNION ALL
        SELECT m.organization_id, m.workspace_id, m.role FROM :schema.workspace_member m WHERE m.user_id = :schema.current_user_id();
    END $$;

-- Whether the user of this transaction is a system admin, as the table has it now.
CREATE FUNCTION :schema.is_system_admin() RETURNS boolean LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = ''
    AS $$
    BEGIN
        RETURN EXISTS (SELECT FROM :schema.user_account u WHERE u.user_id = :schema.current_user_id() AND u.system_role = 2);
    END $$;

-- Before there is a principal: whether anybody is a system admin.
CREATE FUNCTION :schema.has_system_admin() RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER SET search_path = ''
    AS $$ SELECT EXISTS (SELECT FROM :schema.user_account u WHERE u.system_role = 2) $$;

-- Before there is a principal: what a sign-in by address or by username is checked against. An address that nobody proved has nobody who
-- could sign in.
CREATE FUNCTION :schema.sign_in_credential(wanted_email_index text, wanted_username_index text)
    RETURNS TABLE (user_id uuid, password_hash bytea, version bigint, reset_generation bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = ''
    AS $$
    BEGIN
        RETURN QUERY SELECT u.user_id, u.password_hash, u.version, u.reset_generation FROM :schema.user_account u
        WHERE u.state = 2 AND (u.email_index = wanted_email_index OR u.username_index = wanted_username_index);
    END $$;

-- Before there is a principal: whether somebody has the username.
CREATE FUNCTION :schema.username_taken(wanted_index text) RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER SET search_path = ''
    AS $$ SELECT EXISTS (SELECT FROM :schema.user_account u WHERE u.username_index = wanted_index AND u.state = 2) $$;

-- What a proof of an address is checked against: the good token and the password of a registration that waits for it. None when another
-- registration of the address was proved before.
CREATE FUNCTION :schema.pending_verification(wanted uuid) RETURNS TABLE (generation bigint, password_hash bytea)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = ''
    AS $$
        SELECT u.verification_generation, u.password_hash FROM :schema.user_account u
        WHERE u.user_id = wanted AND u.state = 1
          AND NOT EXISTS (SELECT FROM :schema.user_account proved WHERE proved.email_index = u.email_index AND proved.state = 2)
    $$;

-- Before there is a principal: whether another mail is sent for a registration of an address.
CREATE FUNCTION :schema.is_pending(wanted uuid, wanted_index text) RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER SET search_path = ''
    AS $$
        SELECT EXISTS (SELECT FROM :schema.user_account u WHERE u.user_id = wanted AND u.email_index = wanted_index AND u.state = 1)
           AND NOT EXISTS (SELECT FROM :schema.user_account proved WHERE proved.email_index = wanted_index AND proved.state = 2)
    $$;

-- For whoever sends mail in the suite's name: where a person is reached. A registration is none when another one of the address was proved.
CREATE FUNCTION :schema.recipient(wanted uuid)
    RETURNS TABLE (email bytea, display_name bytea, state smallint, verification_generation bigint, reset_generation bigint,
                   reset_void_time timestamptz)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = ''
    AS $$
        SELECT u.email, u.display_name, u.state, u.verification_generation, u.reset_generation, u.reset_void_time FROM :schema.user_account u
        WHERE u.user_id = wanted
          AND (u.state = 2 OR NOT EXISTS (SELECT FROM :schema.user_account proved WHERE proved.email_index = u.email_index AND proved.state = 2))
    $$;

-- Whom an admin adds, and who asks for another password, by id or address: somebody who can sign in.
CREATE FUNCTION :schema.active_user(wanted uuid, wanted_index text) RETURNS uuid LANGUAGE sql STABLE SECURITY DEFINER SET search_path = ''
    AS $$ SELECT u.user_id FROM :schema.user_account u WHERE u.state = 2 AND (u.user_id = wanted OR u.email_index = wanted_index) $$;

GRANT EXECUTE ON FUNCTION :schema.my_memberships(), :schema.is_system_admin(), :schema.has_system_admin(), :schema.sign_in_credential(text, text),
    :schema.username_taken(text), :schema.pending_verification(uuid), :schema.is_pending(uuid, text), :schema.recipient(uuid), :schema.active_user(uuid, text) TO :schema_app;

SELECT :schema.mark_user('user_account', 'an account is its user''s; who shares the organization of the call may read it, and system admins all',
    verbs => 'INSERT',
    readable => '(SELECT :schema.is_system_admin())
        OR (SELECT :schema.tenant() IN (SELECT mine.organization_id FROM :schema.my_memberships() mine))
            AND EXISTS (SELECT FROM :schema.organization_member m
                        WHERE m.organization_id = (SELECT :schema.tenant()) AND m.user_id = user_account.user_id)',
    -- A call of scope SYSTEM, which system admins alone may make, imports others' accounts.
    writable => '(SELECT :schema.in_system_scope()) AND (SELECT :schema.is_system_admin())');
-- Nobody reads a hash but sign_in_credential and pending_verification above, whoever's it is, and own_credential (0104), the caller's own. A sign-in replaces one that was made at another cost.
GRANT UPDATE (email, email_index, reset_void_time) ON :schema.user_account TO :schema_app;
GRANT SELECT (user_id, email, email_index, username, username_index, display_name, state, system_role, verification_generation, reset_generation, version, create_time,
    update_time), UPDATE (username, username_index, password_hash, state, system_role, verification_generation, reset_generation, version, update_time) ON :schema.user_account TO :schema_app;
SELECT :schema.allow_definer('user_account');
-- Retention deletes registrations that nobody proved, and can't touch an account.
GRANT SELECT (user_id, state, create_time), DELETE ON :schema.user_account TO :schema_worker;
CREATE POLICY worker ON :schema.user_account AS PERMISSIVE FOR ALL TO :schema_worker USING (state = 1) WITH CHECK (false);

SELECT :schema.mark_tenant('organization', 'an organization is the tenant; its members may list it from elsewhere', verbs => 'SELECT, INSERT',
    exception => 'organization_id IN (SELECT mine.organization_id FROM :schema.my_memberships() mine)');
-- Locking a row takes the right to update a column of it.
GRANT UPDATE (version) ON :schema.organization TO :schema_app;
SELECT :schema.mark_tenant('organization_member', 'who belongs to an organization is its own matter');
SELECT :schema.allow_definer('organization_member');
SELECT :schema.mark_tenant('workspace', 'a workspace is part of its organization', verbs => 'SELECT, INSERT');
SELECT :schema.mark_tenant('workspace_member', 'who belongs to a workspace is its organization''s matter');
SELECT :schema.allow_definer('workspace_member');
SELECT :schema.mark_tenant('removed_member', 'who was a member is the organization''s own matter', verbs => 'SELECT, INSERT, UPDATE');
-- Authorization is given the whole of it when events no longer tell (MembershipService).
SELECT :schema.grant_worker('organization_member', 'SELECT');
SELECT :schema.grant_worker('workspace_member', 'SELECT');
SELECT :schema.grant_worker('workspace', 'SELECT');
GRANT SELECT (system_role) ON :schema.user_account TO :schema_worker;
CREATE POLICY admins ON :schema.user_account AS PERMISSIVE FOR SELECT TO :schema_worker USING (system_role = 2);
