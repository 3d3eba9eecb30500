DROP FUNCTION :schema.session_policy(uuid);
DROP TABLE :schema.organization_settings;
