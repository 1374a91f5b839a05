SELECT num FROM {schema}.session WHERE domain = $1 AND id = $2 AND num = $3
