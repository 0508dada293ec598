/*
 * A codec for the tensors of one cut: how each travels, and the sessions that code them
 * and back. What pipe and stage have in common; pure functions.
 */
#ifndef WS_SPLIT_CODER_H
#define WS_SPLIT_CODER_H

#include "onnx/codec.h"
#include "split/splitter.h"

/* `ranges`, one for each tensor of the cut, are for int8c alone; is_apart as in
 * ws_coding_create_apart. */
int ws_coder_coding(struct ws_coding **out, const struct ws_splitter *splitter,
                    const struct ws_cut *cut, enum ws_codec codec,
                    const struct ws_codec_range *ranges, int is_apart,
                    struct ws_error *err);
/* One side of a coding that is not plain. */
int ws_coder_session(struct ws_session **out, const struct ws_splitter *splitter,
                     const struct ws_coding *coding, enum ws_codec_side side,
                     struct ws_error *err);

#endif
