SELECT t.id, t.state, CASE WHEN coalesce(d.expires, t.gone) > date_part('epoch', clock_timestamp()) THEN t.result END AS result
FROM unnest($2::uuid[]) x(id)
CROSS JOIN LATERAL (SELECT k.* FROM {schema}.task k WHERE k.domain = $1 AND k.id = x.id OFFSET 0) t
LEFT JOIN {schema}.dead d ON t.state = 3 AND d.domain = t.domain AND d.id = t.id
