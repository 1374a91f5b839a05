-- One domain. All moments are Unix seconds of the host's clock.

CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

-- Numbers that are never given twice, whatever was deleted meanwhile.
CREATE TABLE counter (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    num INTEGER NOT NULL,        -- the last given to a task, or to a place in a queue
    event INTEGER NOT NULL,      -- the last given to a piece of the event log
    session INTEGER NOT NULL     -- the last given to a session
);
INSERT INTO counter VALUES (1, 0, 0, 0);

CREATE TABLE queue (
    num INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    max_lost INTEGER NOT NULL DEFAULT 5,
    paused INTEGER NOT NULL DEFAULT 0
);

-- A task from publish until it is forgotten: its id stays in one index all the time, so that
-- a repeated publish is found out by that index, whatever became of the task.
CREATE TABLE task (
    num INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    queue INTEGER NOT NULL,
    level INTEGER NOT NULL DEFAULT 0,    -- minus the priority
    state INTEGER NOT NULL DEFAULT 0,    -- 0 ready or running, 1 delayed, 2 behind its ordering key, 3 dead, 4 finished, 5 moved away
    attempt INTEGER NOT NULL DEFAULT 0,
    lost INTEGER NOT NULL DEFAULT 0,
    released INTEGER NOT NULL DEFAULT 0,
    pos INTEGER,                         -- its place in the queue; NULL: num
    due REAL,                            -- not before; while in state 1 or 2
    dedup TEXT,
    dedup_mode INTEGER,
    okey TEXT,
    gone REAL,                           -- when prune has something to do here
    envelope BLOB,
    result BLOB
);
CREATE UNIQUE INDEX task_id ON task (id);
CREATE INDEX task_gone ON task (gone) WHERE gone IS NOT NULL;

-- What may be handed out, in the order of handing out.
CREATE TABLE ready (
    queue INTEGER NOT NULL,
    level INTEGER NOT NULL,
    pos INTEGER NOT NULL,
    num INTEGER NOT NULL,
    since REAL NOT NULL,
    PRIMARY KEY (queue, level, pos)
) WITHOUT ROWID;

CREATE TABLE delayed (
    due REAL NOT NULL,
    num INTEGER NOT NULL,
    PRIMARY KEY (due, num)
) WITHOUT ROWID;

-- To be in here is to be held. Receipt: number of the hand-over (17 bits), num (45), whether keys hang on it (1).
CREATE TABLE running (
    session INTEGER NOT NULL,
    receipt INTEGER NOT NULL,
    PRIMARY KEY (session, receipt)
) WITHOUT ROWID;

-- The fence: without its row here nothing is heard from a session.
CREATE TABLE session (
    num INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    lease REAL NOT NULL
);

-- Reaped sessions some of whose deliveries are still to be handed out again.
CREATE TABLE orphan (session INTEGER PRIMARY KEY, id TEXT NOT NULL);

-- The answers to the last few settles of a session, a slot for each.
CREATE TABLE settled (
    session INTEGER NOT NULL,
    slot INTEGER NOT NULL,
    number INTEGER NOT NULL,
    answers TEXT NOT NULL,
    PRIMARY KEY (session, slot)
) WITHOUT ROWID;

-- Wishes to cancel what runs.
CREATE TABLE wish (num INTEGER PRIMARY KEY, serial INTEGER NOT NULL);

CREATE TABLE dedup (
    queue INTEGER NOT NULL,
    key TEXT NOT NULL,
    id TEXT NOT NULL,            -- the holder
    until REAL,                  -- NULL: until freed
    PRIMARY KEY (queue, key)
) WITHOUT ROWID;
CREATE INDEX dedup_until ON dedup (until) WHERE until IS NOT NULL;

-- The tasks of an ordering key that have not ended; the first may run.
CREATE TABLE line (
    queue INTEGER NOT NULL,
    key TEXT NOT NULL,
    num INTEGER NOT NULL,
    PRIMARY KEY (queue, key, num)
) WITHOUT ROWID;

CREATE TABLE dead (
    id TEXT PRIMARY KEY,
    num INTEGER NOT NULL,
    queue INTEGER NOT NULL,
    at REAL NOT NULL,
    reason TEXT NOT NULL,
    error BLOB NOT NULL,
    expires REAL NOT NULL        -- of the failed result, which the task's row has
) WITHOUT ROWID;

-- Pieces of the log, many to a row: «first» is the number of the row's first piece, a CBOR sequence holds them.
CREATE TABLE event (first INTEGER PRIMARY KEY, records BLOB NOT NULL);

CREATE TABLE schedule (
    id TEXT PRIMARY KEY,
    due REAL NOT NULL,
    look REAL NOT NULL,          -- when to look at it: its due, or the end of its claim
    envelope BLOB NOT NULL,
    trigger TEXT,
    misfire TEXT NOT NULL,
    grace REAL NOT NULL,
    paused INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX schedule_look ON schedule (look) WHERE paused = 0;
