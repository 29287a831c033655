-- Up Migration

create table node (
  id           integer generated always as identity primary key,
  name         text not null unique,
  public_key   bytea not null unique,
  labels       jsonb not null,
  state        text not null default 'active' check (state in ('active', 'draining', 'drained')),
  -- As the detector last judged it; the copies of a node that is `down` become lost.
  liveness     text not null default 'up' check (liveness in ('up', 'suspect', 'down')),
  -- Grows with each registration and each death: what an older session says is void.
  epoch        integer not null default 1,
  -- Null when the node must register again.
  session_hash bytea,
  transfer     text not null,
  gateway      text not null,
  peer_id      text,
  addresses    text[] not null default '{}',
  joined_at    timestamptz not null default now(),
  -- Of the present session. Copies verified before it count as evidence only once the inventory confirms them.
  registered_at timestamptz not null default now(),
  -- The whole inventory of the present session was read at that time; null: wanted.
  inventory_at timestamptz,
  -- Its last slice came at that time: while slices come, no new inventory is asked for.
  inventory_slice_at timestamptz,
  -- All its copies were marked lost at that time.
  lost_at      timestamptz
);

-- Partial, and therefore no key: registration must not wait for whoever writes replicas of the node.
create unique index node_session on node (session_hash) where session_hash is not null;

create table node_beat (
  node_id        integer primary key references node on delete cascade,
  at             timestamptz not null default now(),
  capacity_bytes bigint not null,
  free_bytes     bigint not null,
  stored_bytes   bigint not null,
  blocks         bigint not null,
  roots          bigint not null,
  refusal        text
) with (fillfactor = 50);

create table join_token (
  hash        bytea primary key,
  name        text not null,
  created_at  timestamptz not null default now(),
  expires_at  timestamptz,
  revoked_at  timestamptz
);

-- A registration signs one of these; each is good once, for a minute.
create table join_challenge (
  challenge   text primary key,
  created_at  timestamptz not null default now()
);

-- Control-plane processes: nodes take uploads from whoever proves one of these keys.
create table controller (
  public_key  bytea primary key,
  seen_at     timestamptz not null default now()
);

create sequence lease_seq;

-- One node's copy of a root: the decision that it shall have one, and what was seen of it. See services/core/replica.ts.
create table replica (
  content_id  bigint not null references content on delete cascade,
  node_id     integer not null references node on delete cascade,
  state       text not null default 'allocated'
              check (state in ('allocated', 'stored', 'verified', 'failed', 'lost', 'releasing')),
  -- 0: one copy left; 1: none left; 2: new; 3: fewer than wanted; 4: to be verified; 5: removal; 6: nobody had it yet.
  prio        smallint not null default 2,
  -- When its node shall work on it; infinity: not now, a reconcile pass decides when.
  due_at      timestamptz not null default now(),
  -- Whoever works on it now; a report with another lease is void.
  lease       bigint,
  lease_until timestamptz,
  -- Tries that failed since the last that did not.
  attempts    integer not null default 0,
  -- A verified copy that shall be read back again: a new pin or a policy wants fresh evidence.
  recheck     boolean not null default false,
  done_bytes  bigint not null default 0,
  done_blocks bigint not null default 0,
  phase       text,
  verified_at timestamptz,
  error_code  text,
  error       text,
  changed_at  timestamptz not null default now(),
  primary key (content_id, node_id)
);
create index replica_due on replica (node_id, prio, due_at)
  where lease is null and (state in ('allocated', 'stored', 'releasing') or recheck);
create index replica_present on replica (node_id, content_id)
  where state in ('allocated', 'stored', 'verified', 'releasing');
create index replica_lease on replica (node_id, lease_until) where lease is not null;

-- Roots whose placement or status is to be looked at: each event adds a row, so that none ever waits for another, and a pass
-- takes all rows of a root together. It removes only those that it took, so that an event in between is not lost.
-- No foreign key: a row of a content that is gone does no harm.
create table reconcile_queue (
  id          bigint generated always as identity primary key,
  content_id  bigint not null,
  prio        smallint not null default 2,
  due_at      timestamptz not null default now()
);
create index reconcile_due on reconcile_queue (prio, due_at);
create index reconcile_content on reconcile_queue (content_id);

-- Singletons: whoever holds the row renews it; the epoch grows when another takes over.
create table leader (
  role        text primary key,
  holder      text not null,
  epoch       bigint not null default 1,
  until       timestamptz not null,
  -- Held without a gap since then: silence before it proves nothing, perhaps nobody was there to hear.
  since       timestamptz not null default now(),
  -- How far a sweep over contents has come.
  position    bigint not null default 0
);

alter table replica set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
alter table reconcile_queue set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
alter table tenant_usage set (autovacuum_vacuum_scale_factor = 0.02);
