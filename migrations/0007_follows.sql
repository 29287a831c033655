-- Up Migration

-- A tenant's wish that what a name leads to stays pinned. A hosted name of the tenant that it follows is a site.
create table follow (
  id          uuid primary key,
  tenant_id   integer not null references tenant on delete cascade,
  -- An IPNS name as a CIDv1 in base36, or a domain with a DNSLink.
  name        text not null,
  -- Name of the policy of the pins.
  policy      text not null,
  -- Versions that stay pinned, the present one among them.
  keep        smallint not null check (keep >= 1),
  every_ms    bigint not null,
  created_at  timestamptz not null default now(),
  -- Content path that the name was last seen to lead to, and its root.
  target      text,
  cid         bytea,
  -- Of the IPNS name itself: the newest record that was seen, so that no older one is ever followed.
  record      bytea,
  checked_at  timestamptz,
  -- Why it could not be followed the last time; null when it could.
  error_code  text,
  error       text,
  next_at     timestamptz not null default now(),
  -- When versions that were superseded are to be looked at again; null: all that is not wanted is released.
  settle_at   timestamptz,
  constraint follow_of_tenant unique (tenant_id, name)
);
create index follow_next on follow (next_at);
create index follow_name on follow (name);
create index follow_settle on follow (settle_at) where settle_at is not null;

-- What a followed name leads or led to, with the pin that keeps it. One row a root: a version that comes back is the same.
create table follow_version (
  follow_id   uuid not null references follow on delete cascade,
  cid         bytea not null,
  pin_id      uuid not null,
  -- When the name last began to lead there; null: it has not yet.
  current_at  timestamptz,
  -- Since then somebody is about to publish it, and it is not released; null once it was seen to be published.
  reserved_at timestamptz,
  primary key (follow_id, cid)
);
