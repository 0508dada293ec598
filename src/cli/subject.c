#include "cli/subject.h"

#include "split/shapes.h"

int ws_subject_init(struct ws_subject *subject, const char *path,
                    struct ws_engine *engine, const struct ws_dim *dims, size_t dim_count,
                    struct ws_error *err)
{
    ws_shape_source source = engine != NULL ? ws_shapes_from_engine : NULL;
    int rc = ws_model_open(&subject->model, path, err);
    if (rc == 0)
        rc = ws_graph_create(&subject->graph, subject->model, err);
    if (rc == 0)
        rc = ws_graph_infer_shapes(subject->graph, source, engine, dims, dim_count, err);
    if (rc == 0)
        rc = ws_cuts_create(&subject->cuts, subject->graph, err);
    return rc;
}

void ws_subject_fini(struct ws_subject *subject)
{
    ws_cuts_destroy(subject->cuts);
    ws_graph_destroy(subject->graph);
    ws_model_close(subject->model);
    *subject = (struct ws_subject){0};
}
