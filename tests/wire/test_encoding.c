#include "check.h"

#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "wire/encoding.h"

static const enum ws_encoding packers[] = {WS_ENCODING_ZSTD, WS_ENCODING_LZ4,
                                           WS_ENCODING_GZIP, WS_ENCODING_DEFLATE};
enum { PACKERS = sizeof(packers) / sizeof(packers[0]) };

/* Half noise, half zeros, so that there is something to win and something to keep. */
static void make_bytes(uint8_t *bytes, size_t size)
{
    struct ws_rng rng;
    ws_rng_init(&rng, 7);
    for (size_t i = 0; i < size; i++)
        bytes[i] = i % 4096 < 2048 ? (uint8_t)ws_rng_u64(&rng) : 0;
}

static void test_names(void **state)
{
    (void)state;
    enum ws_encoding found = WS_ENCODING_GZIP;
    for (int i = 0; i < WS_ENCODING_COUNT; i++) {
        assert_int_equal(
            ws_encoding_find(&found, ws_encoding_name((enum ws_encoding)i), NULL), 0);
        assert_int_equal(found, i);
    }
    assert_int_equal(ws_encoding_find(&found, "none", NULL), 0);
    assert_int_equal(found, WS_ENCODING_IDENTITY);
    assert_int_equal(ws_encoding_find(&found, "br", NULL), WS_E_NOT_FOUND);
}

static void test_round_trip(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 63, 4096, 262144, 1000003};
    uint8_t *bytes = malloc(1000003);
    assert_non_null(bytes);
    make_bytes(bytes, 1000003);
    for (int e = 0; e < WS_ENCODING_COUNT; e++) {
        for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
            struct ws_buf packed, back;
            ws_buf_init(&packed, 0);
            ws_buf_init(&back, 0);
            assert_int_equal(
                ws_encoding_encode(&packed, (enum ws_encoding)e, bytes, sizes[s], NULL),
                0);
            if (e != WS_ENCODING_IDENTITY && sizes[s] >= 4096)
                assert_true(packed.size < sizes[s]);
            assert_int_equal(ws_encoding_decode(&back, (enum ws_encoding)e, packed.data,
                                                packed.size, sizes[s], NULL),
                             0);
            assert_int_equal(back.size, sizes[s]);
            if (sizes[s] > 0)
                assert_memory_equal(back.data, bytes, sizes[s]);
            ws_buf_fini(&packed);
            ws_buf_fini(&back);
        }
    }
    free(bytes);
}

/* One byte more than allowed is refused, and costs no more than allowed. */
static void test_decode_bomb(void **state)
{
    (void)state;
    size_t size = 16u << 20;
    uint8_t *zeros = calloc(1, size);
    assert_non_null(zeros);
    for (size_t e = 0; e < PACKERS; e++) {
        struct ws_buf packed, back;
        ws_buf_init(&packed, 0);
        ws_buf_init(&back, 0);
        assert_int_equal(ws_encoding_encode(&packed, packers[e], zeros, size, NULL), 0);
        assert_true(packed.size < size / 100);
        assert_int_equal(ws_encoding_decode(&back, packers[e], packed.data, packed.size,
                                            size - 1, NULL),
                         WS_E_LIMIT);
        assert_int_equal(back.size, 0);
        assert_int_equal(ws_encoding_decode(&back, packers[e], packed.data, packed.size,
                                            1 << 16, NULL),
                         WS_E_LIMIT);
        ws_buf_fini(&back);
        ws_buf_init(&back, 0);
        assert_int_equal(ws_encoding_decode(&back, packers[e], packed.data, packed.size,
                                            1 << 16, NULL),
                         WS_E_LIMIT);
        assert_true(back.capacity < 1 << 20);
        ws_buf_fini(&packed);
        ws_buf_fini(&back);
    }
    free(zeros);
}

/* Too good to be true, although the size itself is allowed. */
static void test_decode_ratio(void **state)
{
    (void)state;
    size_t size = WS_DECODE_FREE_MAX + 1;
    uint8_t *zeros = calloc(1, size);
    assert_non_null(zeros);
    for (int is_over = 0; is_over <= 1; is_over++) {
        struct ws_buf packed, back;
        ws_buf_init(&packed, 0);
        ws_buf_init(&back, 0);
        assert_int_equal(
            ws_encoding_encode(&packed, WS_ENCODING_ZSTD, zeros, size - !is_over, NULL),
            0);
        assert_true(packed.size < size / WS_DECODE_RATIO_MAX);
        assert_int_equal(ws_encoding_decode(&back, WS_ENCODING_ZSTD, packed.data,
                                            packed.size, SIZE_MAX, NULL),
                         is_over ? WS_E_LIMIT : 0);
        ws_buf_fini(&packed);
        ws_buf_fini(&back);
    }
    free(zeros);
}

/* Cut short anywhere, followed by more, or not this encoding at all. */
static void test_decode_refused(void **state)
{
    (void)state;
    uint8_t bytes[5000];
    make_bytes(bytes, sizeof(bytes));
    for (size_t e = 0; e < PACKERS; e++) {
        struct ws_buf packed, back;
        ws_buf_init(&packed, 0);
        ws_buf_init(&back, 0);
        assert_int_equal(
            ws_encoding_encode(&packed, packers[e], bytes, sizeof(bytes), NULL), 0);
        for (size_t cut = 0; cut < packed.size; cut += cut < 32 ? 1 : 97) {
            assert_int_equal(ws_encoding_decode(&back, packers[e], packed.data, cut,
                                                sizeof(bytes), NULL),
                             WS_E_FORMAT);
            assert_int_equal(back.size, 0);
        }
        assert_int_equal(ws_buf_add(&packed, "xyz", 3, NULL), 0);
        assert_int_equal(ws_encoding_decode(&back, packers[e], packed.data, packed.size,
                                            sizeof(bytes), NULL),
                         WS_E_FORMAT);
        assert_int_equal(
            ws_encoding_decode(&back, WS_ENCODING_IDENTITY, bytes, 5000, 4999, NULL),
            WS_E_LIMIT);
        assert_int_equal(ws_encoding_decode(&back, packers[e], "not packed at all", 17,
                                            sizeof(bytes), NULL),
                         WS_E_FORMAT);
        ws_buf_fini(&packed);
        ws_buf_fini(&back);
    }
}

/* What zstd was before its first release: a frame of version 0.5, empty. */
static void test_decode_old_zstd(void **state)
{
    (void)state;
    static const uint8_t frame[] = {0x25, 0xb5, 0x2f, 0xfd, 0x01, 0xc0, 0x00, 0x00};
    struct ws_buf back;
    struct ws_error err = {0};
    ws_buf_init(&back, 0);
    assert_int_equal(
        ws_encoding_decode(&back, WS_ENCODING_ZSTD, frame, sizeof(frame), 5000, &err),
        WS_E_FORMAT);
    assert_string_equal(err.text, "zstd: no frame at the beginning");
    ws_buf_fini(&back);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),          cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_decode_bomb),    cmocka_unit_test(test_decode_ratio),
        cmocka_unit_test(test_decode_refused), cmocka_unit_test(test_decode_old_zstd),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
