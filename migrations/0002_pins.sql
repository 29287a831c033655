-- Up Migration

-- One row per DAG root, shared by all tenants that pin it. `cid` is version 1, so that v0 and v1 are one row.
create table content (
  id          bigint generated always as identity primary key,
  cid         bytea not null unique,
  pins        integer not null default 0,
  -- Figures of the whole DAG as a holder measured them; null until one is whole.
  bytes       bigint,
  blocks      bigint,
  -- Hints for the network, from the newest pin that named any.
  origins     text[] not null default '{}',
  -- Why no copy will come: refused for good, or found nowhere after all attempts.
  given_up    text,
  given_up_code text,
  idle_since  timestamptz default now(),
  created_at  timestamptz not null default now()
);
create index content_idle on content (idle_since) where pins = 0;

-- Distinct policies that apply to a root: ten thousand pins with the default policy are one row.
create table content_policy (
  content_id  bigint not null references content on delete cascade,
  policy_id   integer not null references policy,
  pins        integer not null,
  primary key (content_id, policy_id)
);
create index content_policy_policy on content_policy (policy_id);

create table pin (
  tenant_id   integer not null references tenant on delete cascade,
  id          uuid not null,
  content_id  bigint not null references content,
  policy_id   integer not null references policy,
  -- As the client wrote it.
  cid         text not null,
  name        text,
  -- The name as filters that ignore case compare it; lower-cased by us, so that no server's locale decides.
  folded_name text,
  status      text not null default 'queued' check (status in ('queued', 'pinning', 'pinned', 'failed')),
  -- Unique per tenant, at microseconds: see services/catalog/pins-clock.ts.
  created_at  timestamptz not null,
  origins     text[] not null default '{}',
  meta        jsonb not null default '{}',
  expires_at  timestamptz,
  -- Profile of the upload that made the root, when there was one.
  profile     text,
  -- What the pin that this one replaced wanted: counted in content.pins until this pin is pinned, or a day after it failed.
  replaces_content_id bigint references content,
  replaces_policy_id  integer references policy,
  status_at   timestamptz not null default now(),
  primary key (tenant_id, id)
);
create unique index pin_created on pin (tenant_id, created_at desc);
create index pin_status on pin (tenant_id, status, created_at desc);
create index pin_content on pin (content_id, tenant_id);
create index pin_name on pin (tenant_id, folded_name, created_at desc) where folded_name is not null;
create index pin_name_part on pin using gin (tenant_id, folded_name gin_trgm_ops);
create index pin_meta on pin using gin (tenant_id, meta jsonb_path_ops);
create index pin_expiry on pin (expires_at) where expires_at is not null;
create index pin_replaces on pin (replaces_content_id) where replaces_content_id is not null;
