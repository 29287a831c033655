-- Up Migration

-- The most that the network may bring for a pin; null: what its account may have. See docs/guard.md.
alter table pin add column max_bytes bigint;

-- A chain that is followed, by CAIP-2.
create table chain (
  id           text primary key,
  -- What counts as final: the provider's word, less where that is not to be believed.
  final_number bigint not null default -1,
  -- How often a block that was final was not on the chain any more.
  broken       integer not null default 0,
  -- The last time that providers were told to disagree.
  disagreed_at timestamptz
);

-- Blocks by whose hashes a reorganisation is found: the newest without a gap, then one of each thousand.
create table chain_block (
  chain_id     text not null references chain on delete cascade,
  number       bigint not null,
  hash         text not null,
  primary key (chain_id, number)
);

-- A tenant's wish that what the tokens of a collection lead to stays pinned.
create table guard (
  id           uuid primary key,
  tenant_id    integer not null references tenant on delete cascade,
  -- CAIP-19 without a token; the chain and the address are parts of it.
  collection   text not null,
  chain_id     text not null,
  address      text not null,
  -- Name of the policy of the pins.
  policy       text not null,
  -- How long what tokens led to before is kept; null: for ever.
  keep_ms      bigint,
  token_bytes      bigint not null,
  collection_bytes bigint not null,
  day_bytes        bigint not null,
  created_at   timestamptz not null default now(),
  -- Events above this block are seen; null: not yet.
  followed_from bigint,
  -- Touches up to this one were looked at.
  touched_up_to bigint not null default 0,
  -- When all tokens are to be read again.
  full_due_at  timestamptz not null default now(),
  -- The last time that all were read: the block, and what the contract was then.
  read_at      timestamptz,
  read_number  bigint,
  contract     jsonb,
  coverage     jsonb,
  -- Why it could not be read the last time; null when it could.
  error_code   text,
  error        text,
  -- Since then a limit holds back pins.
  limited_at   timestamptz,
  constraint guard_of_tenant unique (tenant_id, collection)
);
create index guard_of_chain on guard (chain_id, address);

-- Tokens of which events tell, until these are final. A reorganisation tells of them again, under new ids.
create table chain_touch (
  id           bigint generated always as identity primary key,
  chain_id     text not null,
  address      text not null,
  block_number bigint not null,
  -- Both ends are included. -1: the contract itself; null: all tokens.
  from_id      numeric(78),
  to_id        numeric(78),
  -- Its code was replaced.
  is_upgrade   boolean not null default false
);
create index chain_touch_of on chain_touch (chain_id, address, id);
create index chain_touch_block on chain_touch (chain_id, block_number);

-- What a token points to, and pointed to: one row for each time that it changed. Token -1 is the contract itself.
create table guard_uri (
  id           bigint generated always as identity primary key,
  guard_id     uuid not null references guard on delete cascade,
  token_id     numeric(78) not null,
  -- As the contract returned it; null: it tells none any more.
  uri          bytea,
  -- The block at which it was first read.
  from_number  bigint not null,
  from_hash    text not null,
  is_final     boolean not null default false,
  -- That block is not on the chain any more, and the token was not read since.
  is_orphan    boolean not null default false,
  seen_at      timestamptz not null default now(),
  superseded_at timestamptz,
  -- Since when it need not be kept any more; null: it is kept.
  keep_until   timestamptz,
  released_at  timestamptz,
  -- Root of the metadata, when it is on IPFS.
  root         bytea,
  -- A server's address is what it, or its metadata, leads to.
  is_centralised boolean not null default false,
  -- When its metadata is to be read; null: it was, or there is none.
  content_due_at timestamptz,
  content_tries  integer not null default 0,
  -- Why its metadata could not be read; null when it could.
  content_reason text
);
create unique index guard_uri_present on guard_uri (guard_id, token_id) where superseded_at is null;
create index guard_uri_history on guard_uri (guard_id, token_id, id);
create index guard_uri_from on guard_uri (guard_id, from_number);
create index guard_uri_provisional on guard_uri (guard_id, from_number) where not is_final and superseded_at is null;
create index guard_uri_content on guard_uri (content_due_at) where content_due_at is not null;
create index guard_uri_keep on guard_uri (keep_until) where keep_until is not null and released_at is null;

-- Roots that a version needs.
create table guard_need (
  uri_id       bigint not null references guard_uri on delete cascade,
  guard_id     uuid not null,
  cid          bytea not null,
  -- `metadata`, or the role that the metadata gives it.
  role         text not null,
  -- It is a folder of which the version needs a part.
  is_folder    boolean not null,
  primary key (uri_id, cid)
);
create index guard_need_cid on guard_need (guard_id, cid);

-- The one pin of a root that any version needs.
create table guard_pin (
  guard_id     uuid not null references guard on delete cascade,
  cid          bytea not null,
  -- Null: a limit holds it back, `refusal` says which.
  pin_id       uuid,
  refusal      text,
  -- It was told that no copy of it is found.
  is_missing   boolean not null default false,
  made_at      timestamptz not null default now(),
  primary key (guard_id, cid)
);
