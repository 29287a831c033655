-- Up Migration

-- Whom records of names are told, beside our own nodes: `dht`, and delegated routers by their URLs. Each follows the feed
-- of names as nodes do.
create table put_target (
  target      text primary key,
  -- Place in the feed up to which its names are in name_target.
  version     bigint not null default 0
);

-- What a target knows of a name, and when it is to be told next. A record is put again and again until it ends: a DHT
-- forgets it after two days.
create table name_target (
  target      text not null references put_target on delete cascade,
  name        text not null references ipns_name,
  -- Place in the feed of the record that it shall have, and of the one that it took last; null: none yet.
  wanted      bigint not null,
  version     bigint,
  put_at      timestamptz,
  -- Peers of a DHT that took it.
  peers       integer,
  -- Since it took one the last time.
  failures    integer not null default 0,
  error       text,
  -- While it is being told, this is when somebody else may try: whoever began may have died.
  next_at     timestamptz not null,
  primary key (target, name)
);
create index name_target_next on name_target (target, next_at);
create index name_target_name on name_target (name);
