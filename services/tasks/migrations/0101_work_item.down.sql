-- Takes back 0101_work_item.up.sql: every work item is lost.
DROP TABLE :schema.work_item;
