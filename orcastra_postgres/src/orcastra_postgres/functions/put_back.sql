-- Let a task be handed out, at the place it has. Its lane's mark must not lie behind it.
CREATE OR REPLACE FUNCTION {schema}.put_back(p_lane int, p_place bigint, p_id uuid) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE {schema}.lane SET turn = turn + 1, mark = least(mark, p_place - 1) WHERE num = p_lane;
    INSERT INTO {schema}.ready (lane, place, since, id) VALUES (p_lane, p_place, date_part('epoch', clock_timestamp()), p_id);
END $$;
