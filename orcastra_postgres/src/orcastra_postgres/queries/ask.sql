SELECT date_part('epoch', clock_timestamp()), date_part('epoch', pg_postmaster_start_time())
