SELECT pg_try_advisory_lock('{schema}.session'::regclass::oid::bigint::bit(32)::int, $1::bigint::bit(32)::int)
