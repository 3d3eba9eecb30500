-- Takes back 0101_delivery.up.sql: what is on its way is lost, and what was sent once may be sent again.
DROP TABLE :schema.mail;
DROP TABLE :schema.delivery_attempt;
DROP TABLE :schema.delivery;
