-- Store dead letters of a queue in another store. Those whose ids are here already stay as they are.
CREATE OR REPLACE FUNCTION {schema}.put_letters(
    p_domain int, p_ids uuid[], p_queues text[], p_levels smallint[], p_envelopes bytea[], p_attempts int[], p_losses int[],
    p_releases int[], p_reasons bytea[], p_errors bytea[], p_ats double precision[]
) RETURNS void LANGUAGE plpgsql {pinned} AS $$
DECLARE
    v_lane int;
    gone double precision;
    i int;
BEGIN
    FOR i IN 1 .. cardinality(p_ids) LOOP
        v_lane := {schema}.lane_num(p_domain, p_queues[i], p_levels[i]);
        gone := p_ats[i] + {dead_letter_ttl};
        INSERT INTO {schema}.task (domain, id, lane, state, attempt, lost, released, gone, envelope)
        VALUES (p_domain, p_ids[i], v_lane, 3, p_attempts[i], p_losses[i], p_releases[i], gone, p_envelopes[i])
        ON CONFLICT DO NOTHING;
        CONTINUE WHEN NOT FOUND;
        INSERT INTO {schema}.dead (domain, id, queue, at, reason, error, expires)
        SELECT p_domain, p_ids[i], l.queue, p_ats[i], p_reasons[i], p_errors[i], 0 FROM {schema}.lane l WHERE l.num = v_lane;
        INSERT INTO {schema}.fading (at, domain, ids) VALUES (gone, p_domain, ARRAY[p_ids[i]]);
    END LOOP;
END $$;
