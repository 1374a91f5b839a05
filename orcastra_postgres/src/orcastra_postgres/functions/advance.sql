-- Move the marks of a domain's lanes up to what is ready now, so that a fetch need not walk over what was taken before.
--
-- p_place and p_takers are what the last call returned: the last place that was taken by then, and the transactions that had taken
-- places and had not ended. Who takes one locks the sequence until its transaction ends, so they are told from all others, which
-- may be open for long and put nothing here. Once none of them is left, what will ever appear up to p_place is there to be seen:
-- but for what put_back brings, which leaves its trace in the lane's turn.
-- A transaction that is being prepared may change its name: while a prepared one has taken a place, nothing is moved.
CREATE OR REPLACE FUNCTION {schema}.advance(p_domain int, p_place bigint, p_takers text, OUT place bigint, OUT takers text) LANGUAGE plpgsql {pinned} AS $$
DECLARE
    l record;
    first bigint;
    busy text[];
BEGIN
    SELECT s.last_value INTO place FROM {schema}.place s;
    busy := ARRAY(  -- and not before: who took a place up to this one has the lock, or has ended
        SELECT x.virtualtransaction FROM pg_locks x
        WHERE x.locktype = 'relation' AND x.relation = '{schema}.place'::regclass AND x.mode = 'RowExclusiveLock'
            AND x.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
    );
    takers := array_to_string(busy, ' ');
    IF p_place IS NULL THEN
        RETURN;
    ELSIF string_to_array(p_takers, ' ') && busy OR EXISTS (SELECT 1 FROM unnest(busy) x(name) WHERE x.name LIKE '-%') THEN
        place := p_place;
        takers := p_takers;
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
