SELECT s.said, s.soon, pg_current_xact_id()::text AS xid FROM {schema}.settle(
    $1, $2, NULL, NULL, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25,
    $26, $27
) s
