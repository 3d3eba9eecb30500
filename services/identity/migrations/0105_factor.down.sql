-- Takes away what is known of how sessions were authenticated.
ALTER TABLE :schema.session DROP COLUMN amr, DROP COLUMN auth_time;
