-- Up Migration

-- Lists of what no gateway serves (IPIP-383). Operators save them; nodes get them by their hash.
create table denylist (
  name        text primary key,
  -- SHA-256 of the text.
  hash        bytea not null,
  -- Of denials that neither the list's header nor the rule gives one.
  status      integer not null check (status in (410, 451)),
  bytes       bigint not null,
  parts       integer not null,
  rules       integer not null,
  skipped     integer not null,
  updated_at  timestamptz not null default now()
);
create index denylist_hash on denylist (hash);

-- The text in pieces of about a MiB that end with a line, so that nobody ever holds it whole.
create table denylist_part (
  name        text not null references denylist on delete cascade deferrable initially deferred,
  part        integer not null,
  text        text not null,
  primary key (name, part)
);

-- Who may read a root that a tenant has pinned. Without a row it is for everybody. It stays when the pin goes, for as long
-- as copies are there.
create table access_rule (
  tenant_id   integer not null references tenant on delete cascade,
  content_id  bigint not null references content on delete cascade,
  rule        jsonb not null,
  created_at  timestamptz not null default now(),
  updated_at  timestamptz not null default now(),
  primary key (tenant_id, content_id)
);
create index access_rule_content on access_rule (content_id);

-- With these a tenant signs URLs. Two at once, so that one can take over from the other.
create table signing_key (
  id          uuid primary key,
  tenant_id   integer not null references tenant on delete cascade,
  -- Sealed: see services/catalog/sealed-secret.ts.
  secret      bytea not null,
  created_at  timestamptz not null default now()
);
create index signing_key_tenant on signing_key (tenant_id, created_at);
