-- Up Migration

-- What the contract says of a token beside its URI, as JSON: further URIs (ERC-7160), and what its metadata hashes to
-- (ERC-2477); null: nothing. Text, since a URI may hold what jsonb may not.
alter table guard_uri add column extensions text;
