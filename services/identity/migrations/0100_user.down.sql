-- Takes accounts and sessions away, with everything in them.
DROP FUNCTION :schema.has_sessions_beyond(uuid, bigint, timestamptz);
DROP TABLE :schema.session;
DROP TABLE :schema.mail_request;
DROP TABLE :schema.user_account;
