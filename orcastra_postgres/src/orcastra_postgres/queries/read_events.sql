-- What a reader has not seen yet, in the order of transactions. $2 is the snapshot of its last read, $3 and $4 the place it got to in
-- this one, whose snapshot is $5 (null: now).
SELECT e.xid::text AS xid, e.serial, e.kind, e.records, pg_current_snapshot()::text AS snapshot
FROM {schema}.event e
WHERE e.domain = $1
    AND (e.xid, e.serial) >= ($3::text::xid8, $4::bigint)
    AND e.xid >= pg_snapshot_xmin($2::text::pg_snapshot)
    AND NOT pg_visible_in_snapshot(e.xid, $2::text::pg_snapshot)
    AND ($5::text IS NULL OR pg_visible_in_snapshot(e.xid, $5::text::pg_snapshot))
ORDER BY e.xid, e.serial
LIMIT $6
