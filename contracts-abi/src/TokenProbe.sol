// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.28;

/// Reads many tokens of one contract in one `eth_call`, whatever that contract does: each token has its own limits of gas
/// and bytes, so a hostile one spoils only its own entry. Nobody deploys it: it runs by state override or as init code.
///
/// The answer is entries, one after another: status (1 byte), token id (32), length (4), what the contract returned.
/// Status 0: read. 1: reverted, with the revert's data if short. 2: longer than `bytesEach`, data left out. 8: no token at
/// this index. 9: not run, for want of gas: to be asked again.
library Probing {
    /// Kept for what follows the calls.
    uint256 private constant RESERVE_GAS = 100_000;
    uint256 private constant ENTRY_GAS = 900;

    /// @param selector a function of one `uint256` that answers bytes or a string: `tokenURI`, `uri`
    /// @param byIndex the items are indexes for `tokenByIndex`, else token ids
    /// @return start of the answer in memory
    function read(
        address token,
        bytes4 selector,
        bool byIndex,
        uint256 gasEach,
        uint256 bytesEach,
        uint256[] memory items
    ) internal view returns (uint256 start, uint256 length) {
        assembly {
            function memoryGas(end) -> cost {
                let words := shr(5, add(end, 31))
                cost := add(mul(3, words), shr(9, mul(words, words)))
            }
            let query := mload(0x40)
            start := add(query, 0x40)
            let at := start
            let count := mload(items)
            let next := add(items, 0x20)
            for { let left := count } left { left := sub(left, 1) } {
                let id := mload(next)
                next := add(next, 0x20)
                let status := 9
                let size := 0
                let reserve := add(RESERVE_GAS, mul(ENTRY_GAS, left))
                // The call gets at most 63/64 of what is left.
                if gt(gas(), add(reserve, div(mul(gasEach, 65), 64))) {
                    status := 0
                    if byIndex {
                        mstore(query, shl(224, 0x4f6ccce7))
                        mstore(add(query, 4), id)
                        let found := staticcall(gasEach, token, query, 36, 0, 32)
                        if or(iszero(found), lt(returndatasize(), 32)) { status := 8 }
                        if iszero(status) { id := mload(0) }
                    }
                    if iszero(status) {
                        if gt(add(reserve, div(mul(gasEach, 65), 64)), gas()) { status := 9 }
                    }
                    if iszero(status) {
                        mstore(query, selector)
                        mstore(add(query, 4), id)
                        if iszero(staticcall(gasEach, token, query, 36, 0, 0)) { status := 1 }
                        size := returndatasize()
                        if gt(size, bytesEach) {
                            size := 0
                            if iszero(status) { status := 2 }
                        }
                        let growth := sub(memoryGas(add(at, add(size, 69))), memoryGas(at))
                        if gt(add(add(reserve, growth), mul(3, size)), gas()) {
                            size := 0
                            status := 9
                        }
                    }
                }
                // What was not run by index is asked again by index.
                if and(byIndex, eq(status, 9)) { id := mload(sub(next, 0x20)) }
                mstore8(at, status)
                mstore(add(at, 1), id)
                mstore(add(at, 33), shl(224, size))
                at := add(at, 37)
                if size { returndatacopy(at, 0, size) }
                at := add(at, size)
            }
            length := sub(at, start)
        }
    }
}

contract TokenProbe {
    function read(
        address token,
        bytes4 selector,
        bool byIndex,
        uint256 gasEach,
        uint256 bytesEach,
        uint256[] calldata items
    ) external view {
        (uint256 start, uint256 length) = Probing.read(token, selector, byIndex, gasEach, bytesEach, items);
        assembly {
            return(start, length)
        }
    }
}

/// The same as init code, for nodes without state override: it reverts with the answer, because what a constructor
/// returns is code and has a limit of size.
contract TokenProbeOnce {
    constructor(
        address token,
        bytes4 selector,
        bool byIndex,
        uint256 gasEach,
        uint256 bytesEach,
        uint256[] memory items
    ) {
        (uint256 start, uint256 length) = Probing.read(token, selector, byIndex, gasEach, bytesEach, items);
        assembly {
            revert(start, length)
        }
    }
}
