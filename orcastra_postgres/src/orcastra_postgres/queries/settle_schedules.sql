WITH f AS (
    SELECT * FROM unnest($2::text[], $3::double precision[], $4::double precision[]) WITH ORDINALITY x(id, expected, next, o)
), u AS (
    UPDATE {schema}.schedule s SET due = f.next, look = f.next
    FROM f WHERE s.domain = $1 AND s.id = f.id AND s.due = f.expected AND f.next IS NOT NULL RETURNING f.o
), d AS (
    DELETE FROM {schema}.schedule s USING f
    WHERE s.domain = $1 AND s.id = f.id AND s.due = f.expected AND f.next IS NULL RETURNING f.o
)
SELECT o FROM u UNION ALL SELECT o FROM d
