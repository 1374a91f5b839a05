INSERT INTO {schema}.event (domain, n, records) VALUES ($1, $2, $3)
