-- Up Migration

-- One look at a collection of tokens: what its contract says at one block, and what is found of it. See docs/collections.md.
create table verification (
  id           uuid primary key,
  tenant_id    integer not null references tenant on delete cascade,
  -- CAIP-19 without a token.
  collection   text not null,
  -- What was asked for beside it.
  wanted       jsonb not null,
  -- reading: the chain; checking: the content.
  state        text not null default 'queued' check (state in ('queued', 'reading', 'checking', 'done', 'failed')),
  -- The block by which everything is read, once it is known; decimal and hex.
  block_number text,
  block_hash   text,
  contract     jsonb,
  coverage     jsonb,
  -- Who was asked for content, by name.
  sources      text[],
  figures      jsonb,
  -- Rows of verification_token, and those of them that have a finding.
  tokens       integer not null default 0,
  checked      integer not null default 0,
  error_code   text,
  error        text,
  -- Whoever works on it; what another writes is void.
  lease        bigint,
  lease_until  timestamptz,
  attempts     integer not null default 0,
  -- Waits for its turn since then.
  turn_at      timestamptz not null default now(),
  created_at   timestamptz not null default now(),
  started_at   timestamptz,
  finished_at  timestamptz
);
create index verification_of_tenant on verification (tenant_id, collection, created_at desc);
create index verification_unfinished on verification (turn_at) where state in ('queued', 'reading', 'checking');

create table verification_token (
  verification_id uuid not null references verification on delete cascade,
  -- From 0, in the order in which they were found.
  place        integer not null,
  token_id     numeric(78) not null,
  -- As the contract returned it: bytes, because contracts return NUL, too. Null when there is none.
  uri          bytea,
  -- JSON: what extensions of the contract say beside it; null when nothing.
  extensions   bytea,
  -- Canonical JSON: what the token points to, the same for everybody who looks at the block.
  pointer      text not null,
  kind         text,
  verdict      text,
  -- Canonical JSON: the evidence.
  finding      text,
  -- Verified copies of that of its links that has the fewest; null when nothing of it is on IPFS.
  copies       smallint,
  -- Names of servers that it depends on.
  hosts        text[],
  primary key (verification_id, place)
);
create index verification_token_open on verification_token (verification_id, place) where verdict is null;
