-- Store one envelope that has no keys, no counts and no due, in a lane whose number is known: see functions/publish_plain.sql.
WITH x AS MATERIALIZED (
    SELECT true AS known FROM {schema}.lane WHERE num = $3
), t AS (
    INSERT INTO {schema}.task (domain, id, lane, place, envelope)
    SELECT $1, $2, $3, nextval('{schema}.place'), $4 FROM x
    ON CONFLICT DO NOTHING
    RETURNING id, place
), r AS (
    INSERT INTO {schema}.ready (lane, place, since, id) SELECT $3, place, date_part('epoch', clock_timestamp()), id FROM t
), e AS (
    INSERT INTO {schema}.event (domain, n, records) SELECT $1, 1, $5::bytea FROM t WHERE $5::bytea IS NOT NULL
)
SELECT EXISTS (SELECT 1 FROM t) AS stored, EXISTS (SELECT 1 FROM {schema}.reader WHERE domain = $1 AND waiting) AS awaited,
    EXISTS (SELECT 1 FROM x) AS known
