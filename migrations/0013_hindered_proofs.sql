-- Up Migration

-- Since when a proof comes no further, for the reason in `error`; it is tried again at `due_at`. Null: it goes on.
alter table proof add column hindered_since timestamptz;

-- failed: given up, for the reason in the proof's `error`. The proof is done, and anchored nowhere.
alter table proof_anchor drop constraint proof_anchor_state_check;
alter table proof_anchor add constraint proof_anchor_state_check
  check (state in ('pending', 'included', 'final', 'failed'));

-- A nonce is given out together with the transaction that is signed for it.
update proof_anchor set nonce = null where transactions = '[]';
