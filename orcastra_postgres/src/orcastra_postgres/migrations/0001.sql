-- One schema holds any number of domains. All moments are Unix seconds of the server's clock.

CREATE TABLE {schema}.layout (version int NOT NULL, contract text NOT NULL);

CREATE TABLE {schema}.domain (
    num int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,    -- never given twice
    name text COLLATE "C" NOT NULL UNIQUE
);

CREATE TABLE {schema}.queue (
    num int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    domain int NOT NULL,
    max_lost int NOT NULL DEFAULT 5,
    paused boolean NOT NULL DEFAULT false,
    name text COLLATE "C" NOT NULL,
    UNIQUE (domain, name)
) WITH (fillfactor = 50);

-- A queue's tasks of one priority.
CREATE TABLE {schema}.lane (
    num int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    queue int NOT NULL,
    level smallint NOT NULL,             -- minus the priority
    mark bigint NOT NULL DEFAULT 0,      -- nothing is ready at this place or before it, nor will be but by put_back
    turn bigint NOT NULL DEFAULT 0,      -- grows with every put_back
    UNIQUE (queue, level)
) WITH (fillfactor = 50);

CREATE SEQUENCE {schema}.place;          -- of a task in its lane, of a piece in the log
CREATE SEQUENCE {schema}.session_num;    -- never given twice: the fence

-- A task from publish until it is forgotten: its id stays in one index all the time, so that a repeated publish is found
-- out by that index, whatever became of the task.
CREATE TABLE {schema}.task (
    place bigint,                        -- the last that it had, or has
    due double precision,                -- not before; while it is delayed or waits for its ordering key
    gone double precision,               -- when prune has something to do here
    id uuid NOT NULL,
    domain int NOT NULL,
    lane int NOT NULL,
    attempt int NOT NULL DEFAULT 0,
    lost int NOT NULL DEFAULT 0,
    released int NOT NULL DEFAULT 0,
    state smallint NOT NULL DEFAULT 0,   -- 0 ready or running, 1 delayed, 2 behind its ordering key, 3 dead, 4 finished, 5 moved away
    dedup_mode smallint,
    born int[],                          -- the counts it was published with, if not all zero
    dedup bytea,
    okey bytea,
    envelope bytea,
    result bytea,
    PRIMARY KEY (domain, id)
) WITH (vacuum_truncate = off, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 50000);
ALTER TABLE {schema}.task ALTER envelope SET STORAGE external, ALTER result SET STORAGE external;  -- no compression of what is compact

-- What may be handed out, in the order of handing out. Nothing else is in here: a row that has to be skipped costs every fetch.
CREATE TABLE {schema}.ready (
    place bigint NOT NULL,
    since double precision NOT NULL,
    id uuid NOT NULL,
    lane int NOT NULL,
    flags smallint NOT NULL DEFAULT 0,   -- 1: its dedup key is free once it starts
    PRIMARY KEY (lane, place)
) WITH (vacuum_truncate = off, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000, autovacuum_vacuum_cost_delay = 1);

CREATE TABLE {schema}.delayed (
    due double precision NOT NULL,
    place bigint NOT NULL,
    id uuid NOT NULL,
    domain int NOT NULL,
    lane int NOT NULL,
    PRIMARY KEY (domain, due, place)
) WITH (vacuum_truncate = off, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 10000);

-- To be in here is to be held. A receipt is the number of the fetch and a place in it.
CREATE TABLE {schema}.running (
    session bigint NOT NULL,
    receipt bigint NOT NULL,
    id uuid NOT NULL,
    lane int NOT NULL,
    PRIMARY KEY (session, receipt)
) WITH (vacuum_truncate = off, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000, autovacuum_vacuum_cost_delay = 1);

-- Waits for something that is no moment: for its ordering key, or for a Scheduler to publish it again.
CREATE TABLE {schema}.parked (
    domain int NOT NULL,
    lane int NOT NULL,
    id uuid NOT NULL,
    moved boolean NOT NULL,
    PRIMARY KEY (domain, id)
);

-- The tasks of an ordering key that have not ended; the first may run.
CREATE TABLE {schema}.line (
    place bigint NOT NULL,
    id uuid NOT NULL,
    queue int NOT NULL,
    okey bytea NOT NULL,
    PRIMARY KEY (queue, okey, place)
);

CREATE TABLE {schema}.dedup (
    until double precision,              -- null: until freed
    id uuid NOT NULL,                    -- the holder
    queue int NOT NULL,
    key bytea NOT NULL,
    PRIMARY KEY (queue, key)
);
CREATE INDEX dedup_until ON {schema}.dedup (until) WHERE until IS NOT NULL;

CREATE TABLE {schema}.dead (
    at double precision NOT NULL,
    expires double precision NOT NULL,   -- of the failed result, which the task's row has
    id uuid NOT NULL,
    domain int NOT NULL,
    queue int NOT NULL,
    reason bytea NOT NULL,
    error bytea NOT NULL,
    PRIMARY KEY (domain, id)
);
CREATE INDEX dead_queue ON {schema}.dead (queue, id);

-- Tasks that prune has something to do with at a moment, a row for all of a step.
CREATE TABLE {schema}.fading (
    at double precision NOT NULL,
    serial bigint NOT NULL DEFAULT nextval('{schema}.place'),
    domain int NOT NULL,
    ids uuid[] NOT NULL,
    PRIMARY KEY (domain, at, serial)
);

-- The fence: without its row here nothing is heard from a session.
CREATE TABLE {schema}.session (
    num bigint PRIMARY KEY,
    lease double precision NOT NULL,
    beat double precision NOT NULL,
    domain int NOT NULL,
    locked boolean NOT NULL DEFAULT false,  -- whether its process holds the advisory lock of its number
    id text NOT NULL,
    process text NOT NULL                -- which process of which machine it is in
) WITH (fillfactor = 20);
CREATE INDEX session_domain ON {schema}.session (domain);

-- The number of a session's last fetch, and whether it waits for more. Not in its row, which the beat must never wait for.
CREATE TABLE {schema}.reader (
    session bigint PRIMARY KEY,
    number bigint NOT NULL DEFAULT 0,
    domain int NOT NULL,
    waiting boolean NOT NULL DEFAULT false
) WITH (fillfactor = 20);
CREATE INDEX reader_waiting ON {schema}.reader (domain) WHERE waiting;

-- The answers to the last few settles of a session, a slot for each.
CREATE TABLE {schema}.settled (
    session bigint NOT NULL,
    number bigint NOT NULL DEFAULT 0,
    slot smallint NOT NULL,
    answers text,                        -- null: all done, nothing emitted
    PRIMARY KEY (session, slot)
) WITH (fillfactor = 50);

-- Sessions that were reaped, some of whose deliveries are still to be handed out again.
CREATE TABLE {schema}.orphan (session bigint PRIMARY KEY, domain int NOT NULL, id text NOT NULL);

-- Wishes to cancel what runs.
CREATE TABLE {schema}.wish (domain int NOT NULL, id uuid NOT NULL, PRIMARY KEY (domain, id));

-- Results on their way to feeds that are not notified and look here.
CREATE TABLE {schema}.pushed (
    at double precision NOT NULL,
    serial bigint NOT NULL DEFAULT nextval('{schema}.place'),
    domain int NOT NULL,
    channel text NOT NULL,
    result bytea NOT NULL,
    PRIMARY KEY (domain, channel, serial)
);

-- Pieces of the log: what one step appended. Commit order is not the order of any number taken before, so a reader goes by
-- snapshots: see functions/read_events.sql.
CREATE TABLE {schema}.event (
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    serial bigint NOT NULL DEFAULT nextval('{schema}.place'),
    domain int NOT NULL,
    n int NOT NULL,                      -- how many records
    kind smallint NOT NULL DEFAULT 0,    -- 0: a CBOR sequence, 1: JSON of what a reap noted
    records bytea NOT NULL,
    PRIMARY KEY (domain, xid, serial)
) WITH (vacuum_truncate = off);
ALTER TABLE {schema}.event ALTER records SET STORAGE external;

CREATE TABLE {schema}.schedule (
    due double precision NOT NULL,
    look double precision NOT NULL,      -- when to look at it: its due, or the end of its claim
    grace double precision NOT NULL,
    domain int NOT NULL,
    paused boolean NOT NULL,
    misfire text NOT NULL,
    id text COLLATE "C" NOT NULL,
    trigger text,
    envelope bytea NOT NULL,
    PRIMARY KEY (domain, id)
);
CREATE INDEX schedule_look ON {schema}.schedule (domain, look) WHERE NOT paused;
