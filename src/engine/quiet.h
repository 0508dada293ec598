/*
 * Standard error, held back for a moment. Debian's ONNX Runtime uses a libonnx of its own
 * package, whose operators are registered twice; for each of some 570 it then writes a
 * line and an empty line straight to standard error, past every logging interface, though
 * nothing is wrong. Between begin and end what the process writes there goes to memory;
 * end drops those lines and passes all others on. For the whole process, so to be used as
 * it starts; it changes nothing where the system refuses.
 */
#ifndef WS_ENGINE_QUIET_H
#define WS_ENGINE_QUIET_H

struct ws_quiet {
    int saved; /* the real standard error, or -1: nothing is held */
    int held;  /* what was written since, or -1 */
};

/* Nonzero where the libonnx that writes those lines is loaded. */
int ws_quiet_needed(void);

void ws_quiet_begin(struct ws_quiet *quiet);
void ws_quiet_end(struct ws_quiet *quiet);

#endif
