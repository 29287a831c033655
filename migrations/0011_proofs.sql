-- Up Migration

-- One proof: statements of an account's pins, each backed by answers of its holders, under one signed root. See docs/proofs.md.
create table proof (
  id           uuid primary key,
  tenant_id    integer not null references tenant on delete cascade,
  -- What was asked for: pins or a collection; neither: all pins.
  wanted       jsonb not null,
  anchor_kind  text not null check (anchor_kind in ('none', 'eas-timestamp', 'pin-anchor', 'event')),
  -- challenging: holders are asked; stating: statements are made, kept and signed.
  state        text not null default 'queued'
               check (state in ('queued', 'challenging', 'stating', 'anchoring', 'done', 'failed')),
  -- Where the randomness of the challenges is from.
  seed         jsonb,
  -- Roots that statements are wanted of, and statements that were made.
  contents     integer not null default 0,
  statements   integer not null default 0,
  -- As signed; hashes and addresses are hex.
  root         text,
  taken_at     timestamptz,
  manifest     text,
  chain_id     bigint,
  contract     text,
  signer       text,
  signature    text,
  error_code   text,
  error        text,
  -- Whoever works on it; what another writes is void.
  lease        bigint,
  lease_until  timestamptz,
  due_at       timestamptz not null default now(),
  attempts     integer not null default 0,
  created_at   timestamptz not null default now(),
  asked_at     timestamptz,
  finished_at  timestamptz
);
create index proof_of_tenant on proof (tenant_id, created_at desc);
create index proof_unfinished on proof (due_at) where state in ('queued', 'challenging', 'stating', 'anchoring');

create table proof_content (
  proof_id     uuid not null references proof on delete cascade,
  -- From 0, in the order in which they were pinned.
  place        integer not null,
  content_id   bigint not null,
  cid          bytea not null,
  -- Specs of the policies under which the account pins it, each once.
  policies     jsonb not null,
  -- Public keys of the nodes that were asked.
  nodes        text[] not null default '{}',
  is_judged    boolean not null default false,
  is_stated    boolean not null default false,
  -- Why which node's copy is not stated.
  refused      jsonb not null default '[]',
  primary key (proof_id, place)
);

-- What one node is asked of one root. Answers are deleted when they have been judged.
create table possession_challenge (
  id           bigint generated always as identity primary key,
  proof_id     uuid not null references proof on delete cascade,
  place        integer not null,
  node_id      integer not null references node on delete cascade,
  cid          bytea not null,
  nonce        text not null,
  -- Public keys of those whose challenges it answers: its own, and of those that it checks.
  subjects     text[] not null,
  -- When the node took it the first time; until when it is not told again.
  told_at      timestamptz,
  told_until   timestamptz,
  answered_at  timestamptz,
  -- A PossessionReport of services/core/sync.ts.
  answer       jsonb
);
create index possession_challenge_of_node on possession_challenge (node_id, id) where answer is null;
create index possession_challenge_of_proof on possession_challenge (proof_id, place);

create table proof_statement (
  proof_id     uuid not null references proof on delete cascade,
  place        integer not null,
  -- CIDv1, base32.
  cid          text not null,
  leaf         bytea not null,
  -- A StatementOfProof of services/core/proof/proof-file.ts.
  statement    jsonb not null,
  primary key (proof_id, place),
  unique (proof_id, leaf)
);

-- The transaction that anchors a root. It is written down before it is sent, so that a restart sends the same one.
create table proof_anchor (
  proof_id     uuid primary key references proof on delete cascade,
  chain_id     bigint not null,
  publisher    text not null,
  nonce        bigint,
  -- All that were signed for this nonce, the newest last: hash, raw, maxFee, sentAt.
  transactions jsonb not null default '[]',
  state        text not null default 'pending' check (state in ('pending', 'included', 'final')),
  -- The one that is in a block, and that block.
  transaction  text,
  block_number bigint,
  block_hash   text,
  unique (chain_id, publisher, nonce)
);
