SELECT r.receipt FROM {schema}.running r WHERE r.session = $1 AND EXISTS (SELECT 1 FROM {schema}.session s WHERE s.num = $1)
