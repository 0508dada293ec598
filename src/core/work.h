/*
 * Work of a segment, as a device model counts it: multiply-accumulates and bytes by class
 * of operator. The classes are those that run at rates of their own on real boards. Plain
 * data; whoever has a graph fills it.
 */
#ifndef WS_CORE_WORK_H
#define WS_CORE_WORK_H

enum ws_work_class {
    WS_WORK_CONV,      /* convolutions, grouped ones too */
    WS_WORK_CONV_INT8, /* the same at eight bits; where a board says nothing of them, as
                          conv */
    WS_WORK_DEPTHWISE, /* convolutions with one input channel a group */
    WS_WORK_MATMUL,    /* matrix products: fully connected, attention, recurrent */
    WS_WORK_OTHER,     /* all else; it moves bytes and multiplies next to nothing */
    WS_WORK_CLASS_COUNT
};

struct ws_work {
    double macs[WS_WORK_CLASS_COUNT];
    double bytes[WS_WORK_CLASS_COUNT]; /* that its operators read and write */
    double crossing_bytes; /* handed over or taken in at its border, both ends together */
};

/* As much for each of `count` samples. */
void ws_work_scale(struct ws_work *work, double count);
void ws_work_add(struct ws_work *work, const struct ws_work *more);

/* "conv", "conv_int8", "depthwise", "matmul", "other"; NULL from WS_WORK_CLASS_COUNT on.
 */
const char *ws_work_class_name(enum ws_work_class which);

#endif
