#include "demo_net.h"

#include "split/proof.h"

/* One run of a pipe; the output is the caller's. */
static struct ws_datum answer(struct demo_net *net, const struct ws_pipe_options *options,
                              struct ws_pipe_times *times)
{
    struct ws_error err = {0};
    struct ws_pipe *pipe = NULL;
    struct ws_datum output = {0};
    if (ws_pipe_create(&pipe, net->splitter, options, &err) != 0 ||
        ws_pipe_run_datums(pipe, &net->input, &output, times, &err) != 0)
        fail_msg("cut %zu: %s", options->cut, err.text);
    ws_pipe_destroy(pipe);
    return output;
}

static struct ws_datum whole_answer(struct demo_net *net)
{
    struct ws_pipe_options whole = {.cut = ws_splitter_cuts(net->splitter)->count - 1};
    return answer(net, &whole, NULL);
}

static void test_pipe_cuts_are_exact(void **state)
{
    (void)state;
    struct demo_net net;
    demo_open(&net, 1);
    const struct ws_cuts *cuts = ws_splitter_cuts(net.splitter);
    struct ws_datum whole = whole_answer(&net);
    size_t tried = 0;
    for (size_t c = 0; c < cuts->count; c++) {
        if (cuts->cuts[c].natural != WS_NATURAL_YES)
            continue;
        struct ws_pipe_times times;
        struct ws_datum output =
            answer(&net, &(struct ws_pipe_options){.cut = c}, &times);
        assert_int_equal(output.tensor.size_bytes, whole.tensor.size_bytes);
        assert_memory_equal(output.tensor.data, whole.tensor.data,
                            whole.tensor.size_bytes);
        assert_int_equal(times.tensor_bytes, cuts->cuts[c].bytes);
        assert_int_equal(times.wire_bytes, times.tensor_bytes);
        ws_datum_fini(&output);
        tried++;
    }
    /* A network made to be cut: were the twins of its tensors lost, this would say so. */
    assert_true(tried >= 25);
    ws_datum_fini(&whole);
    demo_close(&net);
}

static void test_pipe_encodings_lose_nothing(void **state)
{
    (void)state;
    struct demo_net net;
    demo_open(&net, 0);
    struct ws_pipe_options options = {.cut = demo_bottleneck(&net)};
    struct ws_datum plain = answer(&net, &options, NULL);
    for (int e = 0; e < WS_ENCODING_COUNT; e++) {
        options.encoding = (enum ws_encoding)e;
        struct ws_datum output = answer(&net, &options, NULL);
        assert_memory_equal(output.tensor.data, plain.tensor.data,
                            plain.tensor.size_bytes);
        ws_datum_fini(&output);
    }
    ws_datum_fini(&plain);
    demo_close(&net);
}

static void test_pipe_codecs(void **state)
{
    (void)state;
    struct demo_net net;
    struct ws_codec_range range = {0};
    demo_open(&net, 0);
    struct ws_pipe_options options = {.cut = demo_bottleneck(&net)};
    struct ws_datum plain = whole_answer(&net), unused = {0};
    struct ws_pipe *pipe = NULL;
    assert_int_equal(ws_pipe_create(&pipe, net.splitter, &options, NULL), 0);
    assert_int_equal(ws_pipe_run_datums(pipe, &net.input, &unused, NULL, NULL), 0);
    assert_int_equal(ws_pipe_calibrate(&range, pipe, NULL), 0);
    ws_datum_fini(&unused);
    ws_pipe_destroy(pipe);
    uint64_t floats = ws_splitter_cuts(net.splitter)->cuts[options.cut].bytes;
    for (int codec = WS_CODEC_FP16; codec < WS_CODEC_COUNT; codec++) {
        struct ws_difference difference = {0};
        struct ws_pipe_times times;
        options.codec = (enum ws_codec)codec;
        options.ranges = &range;
        struct ws_datum output = answer(&net, &options, &times);
        struct ws_tolerance tolerance =
            ws_proof_tolerance(net.splitter, options.codec, &plain, 1);
        assert_int_equal(ws_compare_datum(&difference, &output, &plain, &tolerance, NULL),
                         0);
        assert_false(difference.disagrees);
        /* int8 carries a scale of four bytes and a zero point of one. */
        uint64_t expected = codec == WS_CODEC_FP16   ? floats / 2
                            : codec == WS_CODEC_INT8 ? floats / 4 + 5
                                                     : floats / 4;
        assert_int_equal(times.tensor_bytes, expected);
        ws_datum_fini(&output);
    }
    ws_codec_range_fini(&range);
    ws_datum_fini(&plain);
    demo_close(&net);
}

static void test_pipe_refusals(void **state)
{
    (void)state;
    struct demo_net net;
    struct ws_error err = {0};
    struct ws_pipe *pipe = NULL;
    demo_open(&net, 0);
    const struct ws_cuts *cuts = ws_splitter_cuts(net.splitter);
    struct ws_pipe_options options = {.cut = cuts->count};
    assert_int_equal(ws_pipe_create(&pipe, net.splitter, &options, &err), WS_E_NOT_FOUND);
    for (options.cut = 1; cuts->cuts[options.cut].natural == WS_NATURAL_YES;
         options.cut++)
        continue;
    assert_int_equal(ws_pipe_create(&pipe, net.splitter, &options, &err), WS_E_MISMATCH);
    /* A picture of the wrong size: one line, and the pipe goes on. */
    options.cut = demo_bottleneck(&net);
    assert_int_equal(ws_pipe_create(&pipe, net.splitter, &options, &err), 0);
    struct ws_datum wrong = net.input, output = {0};
    wrong.tensor.dims[2] = 48;
    wrong.tensor.size_bytes /= 2;
    assert_int_equal(ws_pipe_run_datums(pipe, &wrong, &output, NULL, &err), WS_E_RUNTIME);
    assert_true(strchr(err.text, '\n') == NULL && err.text[0] != '\0');
    assert_int_equal(ws_pipe_run_datums(pipe, &net.input, &output, NULL, &err), 0);
    ws_datum_fini(&output);
    ws_pipe_destroy(pipe);
    demo_close(&net);
}

static void test_proof_of_demo(void **state)
{
    (void)state;
    char path[4096];
    struct demo_net net;
    struct ws_proof proof;
    struct ws_error err = {0};
    demo_path(path);
    demo_open(&net, 1);
    if (ws_proof_run(&proof, net.splitter, path, &net.input, NULL, WS_CODEC_NONE, &err) !=
        0)
        fail_msg("%s", err.text);
    assert_true(proof.interior_cuts >= 25);
    assert_false(proof.cuts.disagrees);
    /* A reference that is not the answer is found out. */
    struct ws_datum wrong = whole_answer(&net);
    ((float *)wrong.tensor.data)[3] += 1;
    assert_int_equal(
        ws_proof_run(&proof, net.splitter, path, &net.input, &wrong, WS_CODEC_NONE, &err),
        0);
    assert_true(proof.reference.disagrees);
    ws_datum_fini(&wrong);
    demo_close(&net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pipe_cuts_are_exact),
        cmocka_unit_test(test_pipe_encodings_lose_nothing),
        cmocka_unit_test(test_pipe_codecs),
        cmocka_unit_test(test_pipe_refusals),
        cmocka_unit_test(test_proof_of_demo),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
