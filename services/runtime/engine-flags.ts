/**
 * Flags with which the processes of the program are started. The young generation of the heap is kept small: what
 * streams by dies young, and the memory of buffers is only given back when their small objects are collected, so that
 * the default of up to 32 MiB a space (on a machine with much memory) lets far more than that pile up behind them.
 */
export const ENGINE_FLAGS: readonly string[] = ['--max-semi-space-size=4']
