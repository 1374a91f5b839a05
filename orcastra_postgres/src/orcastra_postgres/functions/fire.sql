-- Publish what a due schedule calls for and move it to its next tick, if its due is still the expected one.
-- codes is null if it was not. One without a trigger that got no answer comes again after p_again seconds.
CREATE OR REPLACE FUNCTION {schema}.fire(
    p_domain int, p_schedule text, p_expected double precision, p_next double precision, p_once boolean, p_again double precision,
    p_queues text[], p_levels smallint[], p_ids uuid[], p_envelopes bytea[], p_dues double precision[],
    p_keys bytea[], p_modes smallint[], p_windows double precision[], p_okeys bytea[], p_counts text[],
    OUT codes text[], OUT soon boolean
) LANGUAGE plpgsql {pinned} AS $$
DECLARE
    now double precision := date_part('epoch', clock_timestamp());
    next double precision := p_next;
BEGIN
    PERFORM 1 FROM {schema}.schedule WHERE domain = p_domain AND id = p_schedule AND due = p_expected AND NOT paused FOR UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    SELECT p.codes, p.soon INTO codes, soon FROM {schema}.publish(p_domain, p_queues, p_levels, p_ids, p_envelopes, p_dues,
        p_keys, p_modes, p_windows, p_okeys, p_counts, NULL, NULL) p;
    codes := coalesce(codes, '{}');
    IF 'U' = ANY (codes) THEN
        IF NOT p_once THEN
            -- its tick must not move: the ids of what it publishes follow from it
            UPDATE {schema}.schedule SET look = now + 30 WHERE domain = p_domain AND id = p_schedule;
            RETURN;
        END IF;
        next := now + p_again;
    END IF;
    IF next IS NULL THEN
        DELETE FROM {schema}.schedule WHERE domain = p_domain AND id = p_schedule;
    ELSE
        UPDATE {schema}.schedule SET due = next, look = next WHERE domain = p_domain AND id = p_schedule;
    END IF;
END $$;
