-- What identity's log says can be told again; what is dropped here is a copy.
DROP TABLE :schema.workspace;
DROP TABLE :schema.assignment;
