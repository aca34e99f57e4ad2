-- What a day does to rows that are there already: the newest events are touched, and the oldest of the
-- state groups that no event needs are purged.
\set ON_ERROR_STOP on
BEGIN;
UPDATE event_json SET internal_metadata = '{"historical":true,"touched":true}' WHERE event_id IN (
    SELECT event_id FROM events WHERE sender LIKE '@user%' ORDER BY topological_ordering DESC LIMIT :touched);
WITH purged AS (DELETE FROM state_groups WHERE id IN (
    SELECT id FROM state_groups WHERE id > :base ORDER BY id LIMIT :purged) RETURNING id)
DELETE FROM state_groups_state WHERE state_group IN (SELECT id FROM purged);
COMMIT;
