// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.28;

/// Says when somebody published a Merkle root of statements. It has no owner, cannot be changed and takes no funds. A
/// publisher is whoever sends: nobody can anchor for another, or spoil a root for another by anchoring it first.
contract PinAnchor {
    /// The publisher anchored this root before.
    error AlreadyAnchored();

    /// @param manifest the binary CID of a document with all leaves
    event Anchored(address indexed publisher, bytes32 indexed root, uint64 leaves, uint64 takenAt, bytes manifest);
    event Announced(address indexed publisher, bytes32 indexed root, uint64 leaves, uint64 takenAt, bytes manifest);

    /// When a publisher anchored a root: seconds since 1970, 0 for never.
    mapping(address publisher => mapping(bytes32 root => uint256 time)) public anchoredAt;

    /// Keeps the time, for contracts to ask; once for each root.
    function anchor(bytes32 root, uint64 leaves, uint64 takenAt, bytes calldata manifest) external {
        if (anchoredAt[msg.sender][root] != 0) revert AlreadyAnchored();
        anchoredAt[msg.sender][root] = block.timestamp;
        emit Anchored(msg.sender, root, leaves, takenAt, manifest);
    }

    /// Leaves an event only, for little more than half of the gas.
    function announce(bytes32 root, uint64 leaves, uint64 takenAt, bytes calldata manifest) external {
        emit Announced(msg.sender, root, leaves, takenAt, manifest);
    }
}
