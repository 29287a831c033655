-- Up Migration

-- Where the events of an account have come to, and what its ids begin with: those of two accounts tell nothing of each other.
create table event_feed (
  tenant_id       integer primary key references tenant on delete cascade,
  key             text not null default left(replace(gen_random_uuid()::text, '-', ''), 16),
  place           bigint not null default 0,
  -- Until then somebody may come back to the stream. Of pins nothing is written down for accounts that nobody listens to.
  listening_until timestamptz not null default '-infinity'
);

-- Place of an event among those of its account; null: not placed yet. Places are given after the commit of what raised the
-- event, under a lock that is held to the end, so that whoever sees a place sees all before it.
alter table event add column place bigint;
drop index event_of_tenant;
create unique index event_place on event (tenant_id, place);
create index event_unplaced on event (id) where place is null;
create index event_age on event (created_at);

create table webhook (
  id              uuid primary key,
  tenant_id       integer not null references tenant on delete cascade,
  url             text not null,
  -- Null: all.
  types           text[],
  -- Sealed for this webhook.
  secret          bytea not null,
  created_at      timestamptz not null default now(),
  disabled_at     timestamptz,
  disabled_reason text,
  -- Attempts since one was answered well, and the time of the first of them.
  failures        integer not null default 0,
  failing_since   timestamptz,
  -- It has failed with all that it was told, and is left alone for a while.
  paused_until    timestamptz not null default '-infinity',
  -- When it has something to be told.
  due_at          timestamptz not null default 'infinity',
  -- Counts the processes that took it; only the last one may say what came of it, and nobody else takes it meanwhile.
  lease           bigint not null default 0,
  lease_until     timestamptz not null default '-infinity'
);
create index webhook_of_tenant on webhook (tenant_id, id);
create index webhook_due on webhook (due_at) where due_at < 'infinity';

create table webhook_delivery (
  webhook_id      uuid not null references webhook on delete cascade,
  event_id        bigint not null references event on delete cascade,
  status          text not null default 'waiting' check (status in ('waiting', 'delivered', 'failed')),
  created_at      timestamptz not null default now(),
  attempts        integer not null default 0,
  next_at         timestamptz not null default now(),
  tried_at        timestamptz,
  -- Of the last attempt; null: there was no answer.
  http_status     integer,
  error           text,
  primary key (webhook_id, event_id)
);
create index webhook_delivery_waiting on webhook_delivery (webhook_id, next_at) where status = 'waiting';
create index webhook_delivery_event on webhook_delivery (event_id);

-- Its owners were told that the record has ended.
alter table ipns_name add column ended_at timestamptz;
update ipns_name set ended_at = now() where valid_until < now();
create index ipns_name_ended on ipns_name (valid_until) where version is not null and sign_at is null and ended_at is null;
