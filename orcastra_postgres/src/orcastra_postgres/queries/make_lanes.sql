SELECT array_agg({schema}.lane_num($1, x.queue, x.level) ORDER BY x.o)
FROM unnest($2::text[], $3::smallint[]) WITH ORDINALITY x(queue, level, o)
