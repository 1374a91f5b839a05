SELECT d.id, q.name AS queue, t.envelope, t.attempt, t.lost, t.released, d.reason, d.error, d.at
FROM {schema}.dead d
JOIN {schema}.task t ON t.domain = d.domain AND t.id = d.id
JOIN {schema}.queue q ON q.num = d.queue
WHERE d.domain = $1 AND d.id = ANY ($2::uuid[])
