-- Takes changes of addresses away, with those that wait.
DROP FUNCTION :schema.email_change_recipient(uuid);
DROP FUNCTION :schema.own_credential();
DROP TABLE :schema.email_change;
