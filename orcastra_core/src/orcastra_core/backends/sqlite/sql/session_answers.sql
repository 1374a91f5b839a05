SELECT settled.number, settled.answers
FROM session LEFT JOIN settled ON settled.session = session.num AND settled.slot = ?2
WHERE session.num = ?1
