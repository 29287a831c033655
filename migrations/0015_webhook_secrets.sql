-- Up Migration

-- The secret before, sealed likewise: until then messages are signed by both, so that receivers can change without a gap.
alter table webhook add column old_secret bytea, add column old_secret_until timestamptz;
