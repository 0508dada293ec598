#include "cli/calibrate.h"

#include <stdlib.h>

#include "split/pipe.h"

int ws_cli_calibrate(struct ws_codec_range *ranges, struct ws_splitter *splitter,
                     size_t cut, const struct ws_inputs *inputs, struct ws_error *err)
{
    const struct ws_graph *graph = ws_splitter_graph(splitter);
    struct ws_pipe_options plain = {.cut = cut};
    struct ws_pipe *pipe = NULL;
    struct ws_datum *outputs = calloc(graph->output_count + 1, sizeof(*outputs));
    int rc = outputs == NULL ? ws_error_nomem(err)
                             : ws_pipe_create(&pipe, splitter, &plain, err);
    if (rc == 0)
        rc = ws_pipe_run_datums(pipe, inputs->data, outputs, NULL, err);
    if (rc == 0)
        rc = ws_pipe_calibrate(ranges, pipe, err);
    for (size_t i = 0; outputs != NULL && i < graph->output_count; i++)
        ws_datum_fini(&outputs[i]);
    free(outputs);
    ws_pipe_destroy(pipe);
    return rc;
}
