-- Why: attempts at what can be guessed wait longer the more of them failed. Expand step; locks nothing that exists.
-- An attempt is charged before its secret is looked at and given back when the secret was right. So the count survives whatever becomes of
-- the attempt, a rolled back transaction and a killed replica too, and of many attempts at once, on any number of replicas, no more get
-- through than are free.
CREATE TABLE :schema.auth_throttle (
    scope       smallint    NOT NULL CHECK (scope BETWEEN 1 AND 9),   -- DEVICE, NETWORK, ACCOUNT, ADDRESS, MAIL, CODE, LINK, PASSWORD, SITE
    subject     text        NOT NULL,              -- blind index of an identifier or a network, in hex; or an id
    part        text        NOT NULL,              -- of it: a device, or the blind index of a network; empty for all
    failures    integer     NOT NULL CHECK (failures >= 0),
    next_time   timestamptz NOT NULL,              -- no attempt before
    forget_time timestamptz NOT NULL,              -- as if nothing had been from then on; pruned. A full minute, so that few charges change an index
    PRIMARY KEY (scope, subject, part)
) WITH (fillfactor = 80);
CREATE INDEX auth_throttle_forget_time_idx ON :schema.auth_throttle (forget_time);
SELECT :schema.mark_service('auth_throttle', 'counted before there is a principal: blind indexes, ids and times');
SELECT :schema.grant_worker('auth_throttle', 'SELECT, DELETE');

-- How long the attempt after the last of `failures` waits: nothing while they are free, then `step_ms`, doubled by each, up to `cap_ms`.
CREATE FUNCTION :schema.throttle_delay_ms(failures integer, free integer, step_ms bigint, cap_ms bigint) RETURNS bigint LANGUAGE sql IMMUTABLE
    AS $$ SELECT CASE WHEN failures <= free THEN 0 ELSE least(cap_ms, step_ms << least(failures - free - 1, 30)) END $$;

-- Whether an attempt may be made at `at`, and if so, charges it: all of `keys` or, when one of them has to wait, none.
-- `keys` is an array of {scope, subject, part, free, cap_ms}; they are charged in their order, which is the same in every call, so that no two
-- calls wait for each other. `wait_ms` is null when the attempt may be made; `scope` is of the key that waits longest, and `delay_ms` how long
-- it does after this attempt if that fails.
-- A time much further ahead than any delay was set by a clock that has been put back: it holds nobody up. Twice the longest delay, because the
-- clock of another replica may be some milliseconds behind.
CREATE FUNCTION :schema.throttle_admit(keys jsonb, step_ms bigint, kept_ms bigint, at timestamptz)
    RETURNS TABLE (wait_ms bigint, scope smallint, failures integer, delay_ms bigint) LANGUAGE plpgsql SET search_path = '' AS $$
#variable_conflict use_column
DECLARE
    millisecond CONSTANT interval := interval '1 millisecond';
    -- Not "from now on": a call beside it may have read its clock a little earlier.
    nobody_waits CONSTANT timestamptz := to_timestamp(0);
    kept CONSTANT interval := kept_ms * millisecond;
    shortly_kept CONSTANT interval := least(kept, interval '1 hour');
    next_minute CONSTANT timestamptz := date_trunc('minute', at, 'UTC') + interval '1 minute';
    wanted jsonb;
    free integer;
    cap_ms bigint;
    charged integer;
    pause bigint;
BEGIN
    SELECT ceil(extract(epoch FROM t.next_time - at) * 1000), t.scope, t.failures, 0 INTO wait_ms, scope, failures, delay_ms
    FROM jsonb_to_recordset(keys) AS k(scope smallint, subject text, part text, cap_ms bigint)
    JOIN :schema.auth_throttle t ON (t.scope, t.subject, t.part) = (k.scope, k.subject, k.part)
    WHERE t.next_time > at AND t.next_time <= at + 2 * k.cap_ms * millisecond
    ORDER BY t.next_time DESC LIMIT 1;
    IF FOUND THEN
        RETURN NEXT;
        RETURN;
    END IF;
    failures := 0;
    delay_ms := 0;
    FOR place IN 0 .. jsonb_array_length(keys) - 1 LOOP
        wanted := keys -> place;
        free := wanted ->> 'free';
        cap_ms := wanted ->> 'cap_ms';
        charged := NULL;
        INSERT INTO :schema.auth_throttle AS t (scope, subject, part, failures, next_time, forget_time)
        VALUES ((wanted ->> 'scope')::smallint, wanted ->> 'subject', wanted ->> 'part', 1,
                coalesce(at + nullif(:schema.throttle_delay_ms(1, free, step_ms, cap_ms), 0) * millisecond, nobody_waits),
                next_minute + shortly_kept)
        ON CONFLICT (scope, subject, part) DO UPDATE
        SET failures = CASE WHEN t.forget_time <= at THEN 1 ELSE t.failures + 1 END,
            next_time = coalesce(at + nullif(:schema.throttle_delay_ms(CASE WHEN t.forget_time <= at THEN 1 ELSE t.failures + 1 END, free,
                                                                       step_ms, cap_ms), 0) * millisecond, nobody_waits),
            forget_time = next_minute + CASE WHEN t.forget_time > at AND t.failures >= free THEN kept ELSE shortly_kept END
        WHERE t.next_time <= at OR t.next_time > at + 2 * cap_ms * millisecond
        RETURNING t.failures INTO charged;
        IF charged IS NULL THEN
            -- Another attempt came first, and this one waits behind it: what it was charged so far is given back.
            PERFORM :schema.throttle_settle(
                (SELECT coalesce(jsonb_agg(k.key), '[]') FROM jsonb_array_elements(keys) WITH ORDINALITY AS k(key, nth) WHERE k.nth <= place), false);
            scope := wanted ->> 'scope';
            SELECT greatest(ceil(extract(epoch FROM t.next_time - at) * 1000), 1) INTO wait_ms FROM :schema.auth_throttle t
            WHERE (t.scope, t.subject, t.part) = ((wanted ->> 'scope')::smallint, wanted ->> 'subject', wanted ->> 'part');
            wait_ms := coalesce(wait_ms, step_ms);
            RETURN NEXT;
            RETURN;
        END IF;
        pause := :schema.throttle_delay_ms(charged, free, step_ms, cap_ms);
        IF pause > delay_ms THEN
            scope := wanted ->> 'scope';
            failures := charged;
            delay_ms := pause;
        END IF;
    END LOOP;
    RETURN NEXT;
END $$;

-- Ends an attempt that did not fail, in the order in which it was charged. One that `succeeded` clears the keys that say `resets`; of the
-- others, and of one whose secret was not looked at, the charge is given back.
CREATE FUNCTION :schema.throttle_settle(keys jsonb, succeeded boolean) RETURNS integer LANGUAGE plpgsql SET search_path = '' AS $$
DECLARE
    wanted jsonb;
    clears boolean;
BEGIN
    -- An UPDATE also where nothing is left of the ladder: the next charge finds its row, and no index changes.
    FOR place IN 0 .. jsonb_array_length(keys) - 1 LOOP
        wanted := keys -> place;
        clears := succeeded AND (wanted ->> 'resets')::boolean;
        UPDATE :schema.auth_throttle t SET failures = CASE WHEN clears THEN 0 ELSE greatest(t.failures - 1, 0) END, next_time = to_timestamp(0)
        WHERE (t.scope, t.subject, t.part) = ((wanted ->> 'scope')::smallint, wanted ->> 'subject', wanted ->> 'part');
    END LOOP;
    RETURN jsonb_array_length(keys);
END $$;

-- What a sign-in begins with: the credential, if there is one, and whether the attempt may be made, charged to the ladders `known` when the
-- device is the account's and to `stranger` when not. One function, because a statement around both were planned anew at each call: with the
-- values at hand its plan always looks cheaper than the one that is kept.
CREATE FUNCTION :schema.begin_sign_in(email_index text, username_index text, device_of uuid, device_generation bigint, known jsonb, stranger jsonb,
    step_ms bigint, kept_ms bigint, at timestamptz)
    RETURNS TABLE (user_id uuid, password_hash bytea, version bigint, reset_generation bigint,
                   wait_ms bigint, scope smallint, failures integer, delay_ms bigint) LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
    -- This commit waits for no disk: the ladder that everybody of a network climbs is held shortly. A crash of the database forgets the charges
    -- of its last moments, a crash of a replica none.
    PERFORM set_config('synchronous_commit', 'off', true);
    SELECT c.user_id, c.password_hash, c.version, c.reset_generation INTO user_id, password_hash, version, reset_generation
    FROM :schema.sign_in_credential(email_index, username_index) c;
    SELECT t.wait_ms, t.scope, t.failures, t.delay_ms INTO wait_ms, scope, failures, delay_ms
    FROM :schema.throttle_admit(CASE WHEN (user_id, reset_generation) = (device_of, device_generation) THEN known ELSE stranger END,
                                step_ms, kept_ms, at) t;
    RETURN NEXT;
END $$;

GRANT EXECUTE ON FUNCTION :schema.throttle_delay_ms(integer, integer, bigint, bigint), :schema.throttle_admit(jsonb, bigint, bigint, timestamptz),
    :schema.throttle_settle(jsonb, boolean),
    :schema.begin_sign_in(text, text, uuid, bigint, jsonb, jsonb, bigint, bigint, timestamptz) TO :schema_app;
