SELECT num FROM {schema}.domain WHERE name = $1
