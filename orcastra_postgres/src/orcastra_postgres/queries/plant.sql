WITH t AS (
    INSERT INTO {schema}.task (domain, id, lane, place, envelope)
    VALUES ($1, $2, {schema}.lane_num($1, $3, 0::smallint), nextval('{schema}.place'), $4) RETURNING id, lane, place
)
INSERT INTO {schema}.ready (lane, place, since, id) SELECT lane, place, date_part('epoch', clock_timestamp()), id FROM t
