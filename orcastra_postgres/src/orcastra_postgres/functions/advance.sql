-- Move the marks of a domain's lanes up to what is ready now, so that a fetch need not walk over what was taken before.
--
-- p_place and p_xid are what the last call returned: the last place that was taken by then, and a transaction number above all
-- that had begun by then. Each place is taken by a transaction that has its number already. So once all transactions before
-- p_xid have ended, what will ever appear up to p_place is there to be seen: but for what put_back brings, which leaves its
-- trace in the lane's turn.
CREATE OR REPLACE FUNCTION {schema}.advance(p_domain int, p_place bigint, p_xid text, OUT place bigint, OUT xid text) LANGUAGE plpgsql {pinned} AS $$
DECLARE
    l record;
    first bigint;
BEGIN
    SELECT s.last_value INTO place FROM {schema}.place s;
    xid := pg_snapshot_xmax(pg_current_snapshot());
    IF p_place IS NULL THEN
        RETURN;
    ELSIF pg_snapshot_xmin(pg_current_snapshot()) < p_xid::xid8 THEN
        place := p_place;
        xid := p_xid;
        RETURN;
    END IF;
    FOR l IN
        SELECT x.num, x.mark, x.turn FROM {schema}.lane x JOIN {schema}.queue q ON q.num = x.queue
        WHERE q.domain = p_domain AND x.mark < p_place
        ORDER BY x.num FOR NO KEY UPDATE OF x SKIP LOCKED  -- who puts something back has it locked: not now, then
    LOOP
        SELECT r.place INTO first FROM {schema}.ready r WHERE r.lane = l.num AND r.place > l.mark ORDER BY r.place LIMIT 1;
        first := least(coalesce(first - 1, p_place), p_place);
        UPDATE {schema}.lane SET mark = first WHERE num = l.num AND turn = l.turn AND mark < first;
    END LOOP;
END $$;
