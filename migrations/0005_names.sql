-- Up Migration

-- Hands out versions in the order of commits: the lock on its one row is held to the end of the transaction that took a
-- version, so that whoever sees a version sees all before it. Nodes read what came after the last version that they saw.
create table name_feed (
  is_only     boolean primary key default true check (is_only),
  -- Another database counts otherwise: nodes then begin anew.
  id          uuid not null default gen_random_uuid(),
  version     bigint not null default 0
);
insert into name_feed default values;

-- The newest record of an IPNS name, whichever tenants have the name. The row stays for good when nobody has it any more,
-- so that no older record is ever taken.
create table ipns_name (
  name            text primary key,
  -- Of the newest record; 0 before the first.
  sequence        numeric(20) not null default 0 check (sequence between 0 and 18446744073709551615),
  record          bytea,
  -- Content path that the record says; null: none that can be followed.
  target          text,
  valid_until     timestamptz,
  valid_until_ns  numeric(30),
  ttl_ns          numeric(20),
  received_at     timestamptz,
  -- Place in the feed to nodes; null: not in it.
  version         bigint unique,
  -- When it is to be signed anew; null: no key of it is here.
  sign_at         timestamptz,
  -- Its owners were told that the record is about to end.
  warned_at       timestamptz
);
create index ipns_name_sign on ipns_name (sign_at) where sign_at is not null;
create index ipns_name_end on ipns_name (valid_until) where version is not null and sign_at is null and warned_at is null;

-- The order of records (services/naming/newer-record.ts), held also against statements that forget it.
create function refuse_older_record() returns trigger language plpgsql as $$
begin
  if new.sequence < old.sequence
     or (old.record is not null
         and (new.record is null
              or (new.sequence, new.valid_until_ns, new.record) < (old.sequence, old.valid_until_ns, old.record))) then
    raise exception 'an older record of % would replace a newer one', old.name using errcode = 'check_violation';
  end if;
  return new;
end $$;
create trigger ipns_name_newer before update of sequence, record on ipns_name
  for each row execute function refuse_older_record();

-- A tenant's name: one that it publishes with a key of ours or of its own, or a foreign one that it wants kept alive.
create table name (
  id          uuid primary key,
  tenant_id   integer not null references tenant on delete cascade,
  name        text not null references ipns_name,
  label       text,
  mode        text not null check (mode in ('hosted', 'client-signed', 'watched')),
  -- Of the records that are made here.
  ttl_ms      bigint not null,
  lifetime_ms bigint not null,
  created_at  timestamptz not null default now(),
  -- When nodes were last asked for a newer record than we know; null: they are to be.
  sought_at   timestamptz,
  constraint name_of_tenant unique (tenant_id, name)
);
create unique index name_label on name (tenant_id, label) where label is not null;
create index name_ipns on name (name);
create index name_sought on name (sought_at nulls first) where mode <> 'hosted' or sought_at is null;

-- Keys under which a tenant's secrets are sealed, themselves wrapped by the master key (services/catalog/master-key.ts).
create table tenant_key (
  tenant_id   integer primary key references tenant on delete cascade,
  wrapped     bytea not null,
  -- Which master key wrapped it.
  master      text not null
);

create table name_key (
  name_id     uuid primary key references name on delete cascade,
  -- The private key in libp2p's form, sealed under the tenant's key.
  sealed      bytea not null
);

-- What was published, the newest hundred of each name. A record that was signed anew replaces the one of its sequence.
create table name_record (
  name          text not null references ipns_name,
  sequence      numeric(20) not null,
  record        bytea not null,
  target        text,
  valid_until   timestamptz not null,
  published_at  timestamptz not null default clock_timestamp(),
  primary key (name, sequence)
);

-- How far each node has the feed on its disk.
create table name_reader (
  node_id     integer primary key references node on delete cascade,
  feed        uuid not null,
  version     bigint not null,
  at          timestamptz not null default now()
);
