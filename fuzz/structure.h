/*
 * Mutations that keep a format's frame whole, so that a fuzzer gets behind it: lengths
 * are put right after each change. For libFuzzer alone, behind WS_FUZZER.
 */
#ifndef WS_FUZZ_STRUCTURE_H
#define WS_FUZZ_STRUCTURE_H

#include <stddef.h>
#include <stdint.h>

/* libFuzzer's own mutation of bytes in place. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

/* Changes one field somewhere in a protobuf message: mutates, removes, doubles or swaps
 * it, and writes the lengths of all messages around it anew. */
size_t structure_mutate_proto(uint8_t *data, size_t size, size_t max_size, unsigned seed);

#endif
