DROP TABLE :schema.record;
DROP FUNCTION :schema.refuse_change();
