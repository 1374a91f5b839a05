SELECT pg_notify(x.channel, x.payload) FROM unnest($1::text[], $2::text[]) x(channel, payload)
