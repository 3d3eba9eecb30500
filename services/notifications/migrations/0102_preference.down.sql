-- Takes back 0102_preference.up.sql: every choice is lost.
DROP TABLE :schema.preference;
