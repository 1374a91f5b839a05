INSERT INTO {schema}.pushed (at, domain, channel, result)
SELECT date_part('epoch', clock_timestamp()), $1, x.channel, x.result FROM unnest($2::text[], $3::bytea[]) x(channel, result)
