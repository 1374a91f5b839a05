-- Make delayed tasks ready whose moment has come: see promote_due.
CREATE OR REPLACE FUNCTION {schema}.promote(p_domain int, p_limit int, OUT done int, OUT queues text[]) LANGUAGE plpgsql {pinned} AS $$
BEGIN
    SELECT p.done, p.queues INTO done, queues FROM {schema}.promote_due(p_domain, p_limit) p;
END $$;
