#include "structure.h"

#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 24, FIELDS_MAX = 4096 };

/* One field: its bytes with the tag, and where its payload lies. */
struct field {
    size_t start, end;
    size_t payload; /* of a length-delimited one; else `start` + the tag's size */
    unsigned wire;
};

static size_t read_varint(uint64_t *out, const uint8_t *data, size_t size)
{
    uint64_t value = 0;
    for (size_t i = 0; i < size && i < 10; i++) {
        value |= (uint64_t)(data[i] & 127) << (7 * i);
        if (data[i] < 128) {
            *out = value;
            return i + 1;
        }
    }
    return 0;
}

static size_t write_varint(uint8_t *out, uint64_t value)
{
    size_t n = 0;
    for (; value >= 128; value >>= 7)
        out[n++] = (uint8_t)(value | 128);
    out[n++] = (uint8_t)value;
    return n;
}

/* Takes a message apart; 0 where it is none. */
static size_t split(struct field *fields, const uint8_t *data, size_t size)
{
    size_t at = 0, count = 0;
    while (at < size && count < FIELDS_MAX) {
        uint64_t tag = 0, length = 0;
        size_t n = read_varint(&tag, data + at, size - at);
        struct field field = {.start = at, .wire = (unsigned)(tag & 7)};
        if (n == 0 || tag >> 3 == 0)
            return 0;
        field.payload = at + n;
        size_t m = 0;
        switch (field.wire) {
        case 0:
            m = read_varint(&length, data + field.payload, size - field.payload);
            if (m == 0)
                return 0;
            field.end = field.payload + m;
            break;
        case 1:
            field.end = field.payload + 8;
            break;
        case 5:
            field.end = field.payload + 4;
            break;
        case 2:
            m = read_varint(&length, data + field.payload, size - field.payload);
            if (m == 0 || length > size - field.payload - m)
                return 0;
            field.payload += m;
            field.end = field.payload + (size_t)length;
            break;
        default:
            return 0;
        }
        if (field.end > size)
            return 0;
        fields[count++] = field;
        at = field.end;
    }
    return at == size ? count : 0;
}

/* Replaces data[start, end) by `with`. The new size, or the old one where it is too much.
 */
static size_t replace(uint8_t *data, size_t size, size_t max_size, size_t start,
                      size_t end, const uint8_t *with, size_t with_size)
{
    size_t rest = size - end;
    if (start + with_size + rest > max_size)
        return size;
    memmove(data + start + with_size, data + end, rest);
    if (with_size > 0)
        memcpy(data + start, with, with_size);
    return start + with_size + rest;
}

static size_t mutate(uint8_t *data, size_t size, size_t max_size, unsigned *seed,
                     int depth);

/* The payload changed within its own field, which gets its length anew. */
static size_t mutate_payload(uint8_t *data, size_t size, size_t max_size,
                             const struct field *field, unsigned *seed, int depth)
{
    size_t old = field->end - field->payload;
    size_t room = max_size > size ? max_size - size : 0;
    size_t most = old + (room < 64 ? room : 64);
    uint8_t *payload = malloc(most + 32);
    uint8_t *whole = malloc(most + 32);
    uint64_t tag = 0;
    if (payload == NULL || whole == NULL) {
        free(payload);
        free(whole);
        return size;
    }
    memcpy(payload, data + field->payload, old);
    size_t changed = mutate(payload, old, most, seed, depth + 1);
    (void)read_varint(&tag, data + field->start, field->end - field->start);
    size_t n = write_varint(whole, tag);
    if (field->wire == 2)
        n += write_varint(whole + n, changed);
    memcpy(whole + n, payload, changed);
    size = replace(data, size, max_size, field->start, field->end, whole, n + changed);
    free(payload);
    free(whole);
    return size;
}

static unsigned draw(unsigned *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static size_t mutate(uint8_t *data, size_t size, size_t max_size, unsigned *seed,
                     int depth)
{
    static struct field all[DEPTH_MAX][FIELDS_MAX];
    if (depth >= DEPTH_MAX || max_size == 0)
        return size;
    struct field *fields = all[depth];
    size_t count = split(fields, data, size);
    if (count == 0)
        return LLVMFuzzerMutate(data, size, max_size);
    const struct field *field = &fields[draw(seed) % count];
    const struct field *other = &fields[draw(seed) % count];
    uint8_t *copy = malloc(size + 1);
    if (copy == NULL)
        return size;
    memcpy(copy, data, size);
    switch (draw(seed) % 8) {
    case 0: /* remove */
        size = replace(data, size, max_size, field->start, field->end, NULL, 0);
        break;
    case 1: /* double, somewhere */
        size = replace(data, size, max_size, other->start, other->start,
                       copy + field->start, field->end - field->start);
        break;
    case 2: /* put in place of another */
        size = replace(data, size, max_size, other->start, other->end,
                       copy + field->start, field->end - field->start);
        break;
    default:
        size = mutate_payload(data, size, max_size, field, seed, depth);
        break;
    }
    free(copy);
    return size;
}

size_t structure_mutate_proto(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    return mutate(data, size, max_size, &seed, 0);
}
