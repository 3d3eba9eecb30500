-- Takes back 0100_inbox_item.up.sql: every inbox is lost, and what was told once may be told again.
DROP TABLE :schema.inbox_item;
