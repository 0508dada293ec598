/*
 * The proof that cutting changes nothing: one model, one set of inputs, run whole by the
 * engine from the file itself, then through every natural cut, and all answers compared;
 * the whole against a reference too where there is one.
 */
#ifndef WS_SPLIT_PROOF_H
#define WS_SPLIT_PROOF_H

#include "split/compare.h"
#include "split/pipe.h"
#include "split/splitter.h"

struct ws_proof {
    size_t nodes;         /* of the graph, those counted that some output needs and that
                             are not computed ahead */
    size_t interior_cuts; /* natural ones, with work on both sides; each was tried */
    struct ws_difference reference; /* the whole against the expected outputs */
    struct ws_difference cuts;      /* all cuts against the whole, the ends included */
    size_t worst_cut;               /* number of the cut with the largest difference */
};

/* Why the model cannot be proved by comparing answers, in a few words, or NULL: it draws
 * random numbers that nothing seeds from outside. */
const char *ws_proof_obstacle(const struct ws_graph *graph);

/* The tolerance that goes with a codec: rtol 1e-3 and atol 1e-5 without one; with one,
 * the same largest element in each row, or an error below a share of the largest value.
 */
struct ws_tolerance ws_proof_tolerance(const struct ws_splitter *splitter,
                                       enum ws_codec codec,
                                       const struct ws_datum *expected, size_t count);

/* `expected` (may be NULL): one for each output. Fails with WS_E_UNSUPPORTED when the
 * runtime itself cannot run the model on these inputs, with other codes when we cannot
 * although it can. Disagreement is no failure: it is in *out. */
int ws_proof_run(struct ws_proof *out, struct ws_splitter *splitter,
                 const char *model_path, const struct ws_datum *inputs,
                 const struct ws_datum *expected, enum ws_codec codec,
                 struct ws_error *err);

#endif
