-- Why: an organization says how long sessions that act in it may idle and last, and from when on they need a second factor. Expand step; locks nothing that exists.
CREATE TABLE :schema.organization_settings (
    organization_id      uuid        PRIMARY KEY REFERENCES :schema.organization,
    session_idle_seconds integer     CHECK (session_idle_seconds BETWEEN 1800 AND 2592000),     -- NULL asks nothing
    session_max_seconds  integer     CHECK (session_max_seconds BETWEEN 3600 AND 31536000),
    mfa_required_time    timestamptz,                                                           -- NULL asks for no second factor
    version              bigint      NOT NULL,
    update_time          timestamptz NOT NULL
);
SELECT :schema.mark_tenant('organization_settings', 'what an organization asks of its members is its own matter', verbs => 'SELECT, INSERT, UPDATE');
SELECT :schema.allow_definer('organization_settings');

-- A refresh stands in no organization, and a factor is taken away in none, and both must know what the one its session acts in asks.
CREATE FUNCTION :schema.session_policy(organization uuid) RETURNS TABLE (idle interval, longest interval, mfa_required_time timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = ''
    AS $$
    BEGIN
        RETURN QUERY SELECT make_interval(secs => s.session_idle_seconds), make_interval(secs => s.session_max_seconds),
                            s.mfa_required_time
        FROM :schema.organization_settings s WHERE s.organization_id = organization;
    END $$;
GRANT EXECUTE ON FUNCTION :schema.session_policy(uuid) TO :schema_app;
