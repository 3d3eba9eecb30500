-- Takes changes of addresses away, with those that wait, and what people chose before.
DROP FUNCTION :schema.own_password_hashes(bigint);
DROP TABLE :schema.password_history;
DROP FUNCTION :schema.email_change_recipient(uuid);
DROP FUNCTION :schema.own_credential();
DROP TABLE :schema.email_change;
