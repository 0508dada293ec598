/* For the tests that look through the engine: run a model once. */
#ifndef WS_TESTS_ONNX_RUN_ONCE_H
#define WS_TESTS_ONNX_RUN_ONCE_H

#include "check.h"

#include "engine/engine.h"

enum { RUN_IO_MAX = 8 };

/* Loads `source`, feeds the tensors in the session's order, and hands out copies of what
 * comes, RUN_IO_MAX at most; ws_tensor_fini them. Returns how many. */
static inline size_t run_once(struct ws_tensor *outputs, struct ws_engine *engine,
                              const struct ws_session_source *source,
                              const struct ws_tensor *inputs, size_t input_count)
{
    struct ws_error err = {0};
    struct ws_session *session = NULL;
    struct ws_engine_value *in[RUN_IO_MAX] = {0}, *out[RUN_IO_MAX] = {0};
    if (ws_session_create(&session, engine, source, &err) != 0)
        fail_msg("%s", err.text);
    size_t count = ws_session_output_count(session);
    assert_int_equal(ws_session_input_count(session), input_count);
    assert_in_range(count, 1, RUN_IO_MAX);
    for (size_t i = 0; i < input_count; i++)
        assert_int_equal(ws_engine_value_from_tensor(&in[i], engine, &inputs[i], &err),
                         0);
    if (ws_session_run(session, in, out, &err) != 0)
        fail_msg("%s", err.text);
    for (size_t i = 0; i < count; i++) {
        struct ws_datum copy;
        assert_int_equal(ws_engine_value_to_datum(&copy, out[i], &err), 0);
        assert_int_equal(copy.kind, WS_DATUM_TENSOR);
        outputs[i] = copy.tensor;
        ws_engine_value_destroy(out[i]);
    }
    for (size_t i = 0; i < input_count; i++)
        ws_engine_value_destroy(in[i]);
    ws_session_destroy(session);
    return count;
}

#endif
