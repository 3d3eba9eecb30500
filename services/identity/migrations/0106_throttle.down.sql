DROP FUNCTION :schema.begin_sign_in(text, text, uuid, bigint, jsonb, jsonb, bigint, bigint, timestamptz);
DROP FUNCTION :schema.throttle_settle(jsonb, boolean);
DROP FUNCTION :schema.throttle_admit(jsonb, bigint, bigint, timestamptz);
DROP FUNCTION :schema.throttle_delay_ms(integer, integer, bigint, bigint);
DROP TABLE :schema.auth_throttle;
