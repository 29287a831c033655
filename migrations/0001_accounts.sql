-- Up Migration
create extension if not exists pg_trgm;
create extension if not exists btree_gin;

create table tenant (
  id          integer generated always as identity primary key,
  name        text not null unique,
  created_at  timestamptz not null default now()
);

-- One hot row per tenant: quota, and the clock that gives each pin a `created` of its own (the page key of the API).
create table tenant_usage (
  tenant_id     integer primary key references tenant on delete cascade,
  pins          bigint not null default 0,
  max_pins      bigint,
  max_pin_bytes bigint,
  last_created  timestamptz not null default '-infinity'
) with (fillfactor = 50);

-- Tokens are 256 random bits; only their SHA-256 is kept.
create table api_token (
  id           uuid primary key,
  tenant_id    integer not null references tenant on delete cascade,
  name         text not null,
  hash         bytea not null unique,
  hint         text not null,
  scopes       text[] not null,
  created_at   timestamptz not null default now(),
  expires_at   timestamptz,
  revoked_at   timestamptz,
  last_used_at timestamptz
);
create index api_token_tenant on api_token (tenant_id, created_at);

-- A version of a policy is never changed: saving again retires it and adds one, and pins move to that.
create table policy (
  id            integer generated always as identity primary key,
  tenant_id     integer references tenant on delete cascade,
  name          text not null,
  version       integer not null default 1,
  spec          jsonb not null,
  copies_min    integer not null,
  copies_target integer not null,
  created_at    timestamptz not null default now(),
  retired_at    timestamptz,
  -- Pins of older versions follow in slices: done, and the last one that was looked at.
  moved_at      timestamptz,
  moved_tenant  integer not null default 0,
  moved_pin     uuid not null default '00000000-0000-0000-0000-000000000000'
);
create index policy_unmoved on policy (id) where moved_at is null and retired_at is null;
-- tenant_id null: a policy of the system, visible to everybody.
create unique index policy_version on policy (coalesce(tenant_id, 0), name, version);
create unique index policy_current on policy (coalesce(tenant_id, 0), name) where retired_at is null;
