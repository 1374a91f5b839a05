-- Append a piece to the log.
-- With p_kept, only the records of those items; p_sizes are the sizes of all items' records in p_records.
CREATE OR REPLACE FUNCTION {schema}.append_events(p_domain int, p_records bytea, p_sizes int[], p_kept boolean[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    records bytea := p_records;
    n int := cardinality(p_sizes);
BEGIN
    IF p_records IS NULL OR length(p_records) = 0 THEN
        RETURN;
    END IF;
    IF p_kept IS NOT NULL THEN
        SELECT string_agg(substring(p_records FROM x.upto - x.size + 1 FOR x.size), ''::bytea ORDER BY x.o), count(*)
        INTO records, n
        FROM (
            SELECT s.size, s.o, (sum(s.size) OVER (ORDER BY s.o))::int AS upto, k.kept
            FROM unnest(p_sizes) WITH ORDINALITY s(size, o)
            JOIN unnest(p_kept) WITH ORDINALITY k(kept, o) ON k.o = s.o
        ) x
        WHERE x.kept AND x.size > 0;
    END IF;
    IF records IS NOT NULL THEN
        INSERT INTO {schema}.event (domain, n, records) VALUES (p_domain, greatest(n, 1), records);
    END IF;
END $$;
