-- Up Migration

-- Whose pin it was made for, of several the first: accounts take turns where the network is searched. 0: nobody's.
alter table replica add column tenant_id integer not null default 0;
create index replica_search on replica (node_id, prio, tenant_id, due_at)
  where lease is null and (state in ('allocated', 'stored', 'releasing') or recheck) and prio in (1, 6) and due_at < 'infinity';
