/*
 * What int8c needs to know before it can code: the range of every channel of every
 * crossing tensor, seen on sample inputs.
 */
#ifndef WS_CLI_CALIBRATE_H
#define WS_CLI_CALIBRATE_H

#include "cli/inputs.h"
#include "onnx/codec.h"
#include "split/splitter.h"

/* Runs the model cut there, without a codec, and widens `ranges`, one for each crossing
 * tensor, by what crosses. The cut must be natural to the splitter. */
int ws_cli_calibrate(struct ws_codec_range *ranges, struct ws_splitter *splitter,
                     size_t cut, const struct ws_inputs *inputs, struct ws_error *err);

#endif
