/** A statement's type, as libraries of EIP-712 take it. */
export const STATEMENT_TYPES = {
  PinStatement: [
    { name: 'cid', type: 'bytes' },
    { name: 'size', type: 'uint64' },
    { name: 'policy', type: 'bytes32' },
    { name: 'replicas', type: 'uint8' },
    { name: 'holders', type: 'bytes32' },
    { name: 'checkedAt', type: 'uint64' },
    { name: 'validUntil', type: 'uint64' },
  ],
}
