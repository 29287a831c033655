-- Up Migration

-- What happened to something of a tenant, for whoever wants to be told. Rows are written in the transaction of what they tell.
create table event (
  id         bigint generated always as identity primary key,
  tenant_id  integer not null references tenant on delete cascade,
  -- As `name.ends` or `uri.changed`; docs/webhooks.md lists all.
  type       text not null,
  -- What it happened to: a name, a collection, a request id.
  subject    text not null,
  data       jsonb not null default '{}',
  created_at timestamptz not null default now()
);
create index event_of_tenant on event (tenant_id, id);
