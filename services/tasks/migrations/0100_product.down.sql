-- Takes back 0100_product.up.sql: every product is lost.
DROP TABLE :schema.product;
