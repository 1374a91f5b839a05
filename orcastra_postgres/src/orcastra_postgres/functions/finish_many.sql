-- End tasks on which no keys hang, and keep their results for p_ttls seconds, or only their ids where there is none.
CREATE OR REPLACE FUNCTION {schema}.finish_many(p_domain int, p_ids uuid[], p_results bytea[], p_ttls double precision[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    now double precision := date_part('epoch', clock_timestamp());
BEGIN
    UPDATE {schema}.task t SET state = 4, envelope = NULL, result = x.result, gone = now + x.ttl
    FROM unnest(p_ids, p_results, p_ttls) x(id, result, ttl)
    CROSS JOIN LATERAL (SELECT k.ctid FROM {schema}.task k WHERE k.domain = p_domain AND k.id = x.id OFFSET 0) y
    WHERE t.ctid = y.ctid;
    INSERT INTO {schema}.fading (at, domain, ids)
    SELECT now + x.ttl, p_domain, array_agg(x.id) FROM unnest(p_ids, p_ttls) x(id, ttl) GROUP BY x.ttl;
    IF EXISTS (SELECT 1 FROM {schema}.wish WHERE domain = p_domain) THEN
        DELETE FROM {schema}.wish WHERE domain = p_domain AND id = ANY (p_ids);
    END IF;
END $$;
