DELETE FROM {schema}.schedule WHERE domain = $1 AND id = ANY ($2::text[]) RETURNING id
