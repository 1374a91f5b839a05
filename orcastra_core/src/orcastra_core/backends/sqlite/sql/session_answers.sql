SELECT settled.number, settled.answers, (SELECT max(number) FROM settled WHERE session = ?1)
FROM session LEFT JOIN settled ON settled.session = session.num AND settled.slot = ?2
WHERE session.num = ?1
