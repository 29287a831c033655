/**
 * Flags with which the processes of the program are started: a small young generation of the heap (1 MiB a space; by
 * default up to 32 MiB on a machine with much memory). The buffers of what streams by lie outside the heap and go when
 * their small objects in it are collected. With a large space that is so seldom that 64 MiB of them pile up first, for
 * which the engine each time collects the whole heap: measured at an upload of 1 GiB, 94 times instead of 5, three times
 * the CPU of the control plane, and 200 MB more memory in a node.
 */
export const ENGINE_FLAGS: readonly string[] = ['--max-semi-space-size=1']
