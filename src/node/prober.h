/*
 * Looks after what no request tells: nodes that are shut off or were not heard of for a
 * while are probed by an exchange of known size; temperature, battery and free memory of
 * the edge are read. Called again and again by one thread.
 */
#ifndef WS_NODE_PROBER_H
#define WS_NODE_PROBER_H

#include "device/sysfs.h"
#include "node/pilot.h"

/* Probes one node that is due; 0 where none is. */
int ws_prober_step(struct ws_pilot *pilot);
/* Opens a connection to one node where it broke, or at the start, so that the next
 * request need not. Where that fails it is a request's or a probe's to find out. */
void ws_prober_connect(struct ws_pilot *pilot);
/* Tells the agent how the edge is; `fs` may be NULL. */
void ws_prober_look(struct ws_pilot *pilot, const struct ws_sysfs *fs);

#endif
