-- Takes signing keys and revocations away. Every access token is void without its key.
DROP TABLE :schema.revocation;
DROP TABLE :schema.signing_key;
