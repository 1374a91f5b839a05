SELECT EXISTS (SELECT 1 FROM {schema}.session WHERE num = $1)
