-- Takes back 0103_known_device.up.sql: no device is known any more, so that the next sign-in of everybody is told.
DROP TABLE :schema.known_device;
