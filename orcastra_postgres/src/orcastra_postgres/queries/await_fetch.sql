SELECT 1 FROM {schema}.reader WHERE session = $1 FOR SHARE
