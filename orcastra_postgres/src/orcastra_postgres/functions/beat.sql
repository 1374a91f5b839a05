-- Keep a session alive. False if it was reaped.
CREATE OR REPLACE FUNCTION {schema}.beat(p_session bigint, p_id text, p_locked boolean) RETURNS boolean LANGUAGE plpgsql {pinned} AS $$
BEGIN
    UPDATE {schema}.session SET beat = date_part('epoch', clock_timestamp()), locked = coalesce(p_locked, locked)
    WHERE num = p_session AND id = p_id;
    RETURN FOUND;
END $$;
