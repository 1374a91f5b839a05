-- Free what a task's keys kept back: it ended for good, or goes away. With p_all even a key that is held for a window of time.
CREATE OR REPLACE FUNCTION {schema}.free_keys(p_domain int, p_id uuid, p_all boolean) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    t record;
BEGIN
    SELECT k.dedup, k.dedup_mode, k.okey, l.queue INTO t
    FROM {schema}.task k JOIN {schema}.lane l ON l.num = k.lane WHERE k.domain = p_domain AND k.id = p_id;
    IF t.dedup IS NOT NULL AND (p_all OR t.dedup_mode <> 2) THEN
        DELETE FROM {schema}.dedup WHERE queue = t.queue AND key = t.dedup AND id = p_id;
    END IF;
    IF t.okey IS NOT NULL THEN
        DELETE FROM {schema}.line WHERE queue = t.queue AND okey = t.okey AND id = p_id;
        PERFORM {schema}.let_next_go(p_domain, t.queue, t.okey);
    END IF;
END $$;
