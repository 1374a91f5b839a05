-- Say what became of a transaction: committed, aborted, or in progress if it has not ended within a second.
-- A server soon notices that a client has gone; how soon is nothing that the client could know.
CREATE OR REPLACE FUNCTION {schema}.outcome(p_xid text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    id xid8 := p_xid::xid8;
    began timestamptz := clock_timestamp();
BEGIN
    WHILE pg_xact_status(id) = 'in progress' AND clock_timestamp() < began + interval '1 second' LOOP
        PERFORM pg_sleep(0.005);
    END LOOP;
    RETURN pg_xact_status(id);
END $$;
