-- Rows like those of a homeserver, in Synapse's own schema: the events numbered :first to :last, and
-- what belongs to them. The same numbers make the same rows, whatever the machine.
-- They are of rooms that Synapse came to know backwards, so it never goes through them by itself.
\set ON_ERROR_STOP on
SET synchronous_commit = off;
BEGIN;

-- Text that does not compress any better than keys and ciphertext do: 43 characters for each part.
CREATE FUNCTION pg_temp.scramble(seed text, parts integer) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT string_agg(rtrim(encode(sha256((seed || part)::bytea), 'base64'), '='), '')
    FROM generate_series(1, parts) AS part
$$;
-- What people write: as many words, of 64.
CREATE FUNCTION pg_temp.write(seed text, words integer) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT string_agg((string_to_array('the be to of and in that have it for not on with he as you do '
        'at this but his by from they we say her she or an will my one all would there their what so '
        'up out if about who get which go me when make can like time no just him know take people into '
        'year your good some could', ' '))[1 + get_byte(sha256(seed::bytea), number % 32) % 64], ' ')
    FROM generate_series(1, words) AS number
$$;
CREATE FUNCTION pg_temp.name_event(number bigint) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT '$' || translate(rtrim(encode(sha256(number::text::bytea), 'base64'), '='), '+/', '-_')
$$;
CREATE FUNCTION pg_temp.name_room(number bigint) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT '!' || left(md5('room' || number % 40), 18) || ':example.org'
$$;
CREATE FUNCTION pg_temp.name_user(number bigint) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT '@user' || number % 700 || ':example.org'
$$;

CREATE TEMPORARY TABLE fresh ON COMMIT DROP AS
SELECT number, pg_temp.name_event(number) AS event_id, pg_temp.name_room(number) AS room_id,
    pg_temp.name_user(number * 7919) AS sender, 1700000000000 + number * 1000 AS ts,
    number % 2 = 0 AS encrypted, 1 + number / 50 AS state_group
FROM generate_series(:first::bigint, :last::bigint) AS number;

INSERT INTO events (topological_ordering, event_id, type, room_id, processed, outlier, depth,
    origin_server_ts, received_ts, sender, contains_url, instance_name, stream_ordering)
SELECT number, event_id, CASE WHEN encrypted THEN 'm.room.encrypted' ELSE 'm.room.message' END,
    room_id, true, false, number, ts, ts + 90, sender, false, 'master',
    -nextval('events_backfill_stream_seq')
FROM fresh ORDER BY number;

INSERT INTO event_json (event_id, room_id, internal_metadata, json, format_version)
SELECT event_id, room_id, '{"historical":true}', json_build_object(
    'auth_events', (SELECT json_agg(pg_temp.name_event(number % 400 + one)) FROM generate_series(1, 3) AS one),
    'prev_events', json_build_array(pg_temp.name_event(number - 1)),
    'type', CASE WHEN encrypted THEN 'm.room.encrypted' ELSE 'm.room.message' END,
    'room_id', room_id, 'sender', sender, 'depth', number, 'origin', 'example.org',
    'origin_server_ts', ts,
    'hashes', json_build_object('sha256', pg_temp.scramble('hash' || number, 1)),
    'signatures', json_build_object('example.org',
        json_build_object('ed25519:a_bench', pg_temp.scramble('signature' || number, 2))),
    'content', CASE WHEN encrypted THEN json_build_object(
        'algorithm', 'm.megolm.v1.aes-sha2', 'device_id', upper(left(md5(sender), 10)),
        'sender_key', pg_temp.scramble(sender, 1),
        'session_id', pg_temp.scramble('session' || number / 100, 1),
        'ciphertext', pg_temp.scramble('ciphertext' || number, 9))
    ELSE json_build_object('msgtype', 'm.text',
        'body', pg_temp.write('body' || number, 6 + (number % 31)::integer)) END)::text, 10
FROM fresh ORDER BY number;

INSERT INTO event_edges (event_id, prev_event_id, is_state)
SELECT event_id, pg_temp.name_event(number - 1), false FROM fresh ORDER BY number;

INSERT INTO event_auth (event_id, auth_id, room_id)
SELECT event_id, pg_temp.name_event(number % 400 + one), room_id
FROM fresh, generate_series(1, 3) AS one ORDER BY number;

INSERT INTO event_to_state_groups (event_id, state_group)
SELECT event_id, :base + state_group FROM fresh ORDER BY number;

CREATE TEMPORARY TABLE fresh_groups ON COMMIT DROP AS
SELECT DISTINCT ON (state_group) state_group, room_id, event_id FROM fresh
WHERE number % 50 = 1 ORDER BY state_group;

INSERT INTO state_groups (id, room_id, event_id)
SELECT :base + state_group, room_id, event_id FROM fresh_groups ORDER BY state_group;

-- A whole state for each group, which is what fills most databases.
INSERT INTO state_groups_state (state_group, room_id, type, state_key, event_id)
SELECT :base + state_group, room_id, 'm.room.member', pg_temp.name_user(member),
    '$' || translate(rtrim(encode(sha256((room_id || member)::bytea), 'base64'), '='), '+/', '-_')
FROM fresh_groups, generate_series(1, 440) AS member ORDER BY state_group, member;

INSERT INTO e2e_device_keys_json (user_id, device_id, ts_added_ms, key_json)
SELECT sender, 'BENCH' || number, ts, json_build_object(
    'algorithms', json_build_array('m.olm.v1.curve25519-aes-sha2', 'm.megolm.v1.aes-sha2'),
    'device_id', 'BENCH' || number, 'user_id', sender,
    'keys', json_build_object('curve25519:BENCH' || number, pg_temp.scramble('curve' || number, 1),
        'ed25519:BENCH' || number, pg_temp.scramble('ed' || number, 1)),
    'signatures', json_build_object(sender,
        json_build_object('ed25519:BENCH' || number, pg_temp.scramble('sign' || number, 2))))::text
FROM fresh WHERE number % 100 = 0 ORDER BY number;

INSERT INTO e2e_one_time_keys_json (user_id, device_id, algorithm, key_id, ts_added_ms, key_json)
SELECT sender, 'BENCH' || number, 'signed_curve25519', 'AAAA' || key, ts,
    json_build_object('key', pg_temp.scramble(number || ' ' || key, 1))::text
FROM fresh, generate_series(1, 25) AS key WHERE number % 100 = 0 ORDER BY number;

-- The backup of a client's room keys.
INSERT INTO e2e_room_keys (user_id, room_id, session_id, version, first_message_index,
    forwarded_count, is_verified, session_data)
SELECT sender, room_id, pg_temp.scramble('session' || number, 1), 1, 0, 0, true,
    json_build_object('ciphertext', pg_temp.scramble('key' || number, 9),
        'mac', left(pg_temp.scramble('mac' || number, 1), 11),
        'ephemeral', pg_temp.scramble('ephemeral' || number, 1))::text
FROM fresh WHERE number % 10 = 0 ORDER BY number;

COMMIT;
