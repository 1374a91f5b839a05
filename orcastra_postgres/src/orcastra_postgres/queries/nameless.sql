SELECT r.receipt, r.id, q.name
FROM {schema}.running r JOIN {schema}.lane l ON l.num = r.lane JOIN {schema}.queue q ON q.num = l.queue
WHERE r.session = $1 AND r.receipt = ANY ($2::bigint[])
