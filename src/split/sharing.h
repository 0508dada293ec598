/*
 * What a request whose feature maps are shared has beyond one that is cut: its extractor
 * and division before, the edge's half beside, and the fusion after. A passage (see
 * passage.h) drives it, so that whoever executes settings need not know how a network is
 * split. The answers are logarithms of the fused probabilities: logits, as a network that
 * is not shared gives. The edge's half runs on a thread of its own, from
 * ws_sharing_beside until somebody waits for it; fuse may be called from several threads
 * at once, the rest by the one that holds the edge. The halves outlive it.
 */
#ifndef WS_SPLIT_SHARING_H
#define WS_SPLIT_SHARING_H

#include "split/halves.h"

struct ws_sharing;

/* Extractor and attention of one input. */
int ws_sharing_start(struct ws_sharing **out, struct ws_halves *halves,
                     const struct ws_datum *input, struct ws_error *err);
/* Which maps go: once, before all that follows but the attention. */
int ws_sharing_divide(struct ws_sharing *sharing, double share, struct ws_error *err);
/* That the extractor took. */
int64_t ws_sharing_extract_ns(const struct ws_sharing *sharing);
/* Waits for the edge's half. Takes NULL. */
void ws_sharing_destroy(struct ws_sharing *sharing);

/* The inputs of the cloud's part, two; they live as long as the sharing. Empty where the
 * share sends nothing. */
const struct ws_datum *ws_sharing_wires(const struct ws_sharing *sharing);
/* Of the picture; see ws_halves_attention. */
int ws_sharing_attention(double *out, const struct ws_sharing *sharing,
                         struct ws_error *err);
/* Starts the edge's half, if it has any map; it lasts modelled_ms at least. */
int ws_sharing_beside(struct ws_sharing *sharing, double modelled_ms,
                      struct ws_error *err);
/* Waits for the edge's half; what it took goes to *out_beside_ns, and by how much that
 * was more than modelled to *out_late_ns. `logits`, FP32[1,N], are the cloud's and become
 * the answer's. */
int ws_sharing_fuse(struct ws_datum *logits, int64_t *out_beside_ns, int64_t *out_late_ns,
                    struct ws_sharing *sharing, struct ws_error *err);
/* The edge's tail alone, from all maps. */
int ws_sharing_alone(struct ws_datum *out, struct ws_sharing *sharing,
                     struct ws_error *err);

#endif
