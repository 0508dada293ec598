/*
 * Labelled data from a folder, in the forms that people have it:
 *   IDX      one file *images*idx* and one *labels*idx*, as MNIST's, plain or .gz;
 *   NumPy    two .npy files, the one with "label" in its name the labels, whole numbers;
 *   CIFAR    .bin files of records of 3,073 bytes, the label first;
 *   tensors  any number of .npy files of a sample each, in the order of their names, and
 *            labels.txt with a whole number for each of them, one a line.
 * Nothing is trusted; what does not fit is named.
 */
#ifndef WS_PROFILE_LABELLED_H
#define WS_PROFILE_LABELLED_H

#include "base/digest.h"
#include "core/tensor.h"

struct ws_labelled {
    struct ws_tensor samples; /* [count, ...] */
    int64_t *labels;          /* [count] */
    size_t count;
    char digest[WS_DIGEST_TEXT]; /* of the samples and labels taken */
};

/* At most `limit` samples, the first ones. WS_E_FORMAT, WS_E_NOT_FOUND, WS_E_MISMATCH. */
int ws_labelled_load(struct ws_labelled *out, const char *folder, size_t limit,
                     struct ws_error *err);
void ws_labelled_fini(struct ws_labelled *data);

#endif
