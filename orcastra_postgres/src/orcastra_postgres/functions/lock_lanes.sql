-- Lock the lanes of queues: whoever puts more than one task back does so first, that nobody wait in a circle.
CREATE OR REPLACE FUNCTION {schema}.lock_lanes(p_queues int[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM {schema}.lane WHERE queue = ANY (p_queues) ORDER BY num FOR NO KEY UPDATE;
END $$;
