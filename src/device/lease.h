/*
 * What we changed is only lent to us. Before an attribute is written for the first time
 * its content goes into a lease file, synced to disk; when the lease is closed everything
 * is written back and the file goes. Whoever dies without that leaves the file, and the
 * next one to open the lease, or `wattshed doctor --restore`, writes the originals back.
 * One process holds a lease at a time (a lock beside the file, which dies with its
 * holder). After a reboot the machine has its own values again, and of an old file only
 * commands are run: what they undo may outlive a reboot. One thread.
 */
#ifndef WS_DEVICE_LEASE_H
#define WS_DEVICE_LEASE_H

#include <stddef.h>

#include "base/error.h"
#include "device/sysfs.h"

struct ws_lease;

/* What a restoration did. */
struct ws_lease_report {
    size_t restored; /* attributes that had to be written */
    size_t vanished; /* attributes that are no longer there */
};

/* "/run/wattshed/lease.json" for root; for others below $XDG_RUNTIME_DIR, or in a folder
 * of their own under /tmp. Creates the folder, which must be ours alone to write. */
int ws_lease_default_path(char *out, size_t size, struct ws_error *err);

/* Takes the lock and gives back what a dead holder left (`report` may be NULL).
 * WS_E_BUSY: another process holds it; WS_E_FORMAT: the file is none of ours. `fs` must
 * outlive the lease. */
int ws_lease_open(struct ws_lease **out, struct ws_lease_report *report,
                  struct ws_sysfs *fs, const char *path, struct ws_error *err);
/* Remembers an attribute's content, once; no harm in asking again. One that cannot be
 * read is not remembered: WS_E_NOT_FOUND, WS_E_IO. */
int ws_lease_keep(struct ws_lease *lease, const char *path, struct ws_error *err);
/* Remembers a command that undoes what a knob's commands did. */
int ws_lease_keep_command(struct ws_lease *lease, const char *const *argv,
                          struct ws_error *err);
/* Puts on disk what was remembered since; before the first write. */
int ws_lease_commit(struct ws_lease *lease, struct ws_error *err);
/* Whether a signal has ended it: nothing may be written any more. */
int ws_lease_ended(const struct ws_lease *lease);

/* Writes everything back, in as many rounds as bounds on each other need. What cannot be
 * is WS_E_IO with the first line, and stays in the file. */
int ws_lease_restore(struct ws_lease *lease, struct ws_lease_report *report,
                     struct ws_error *err);
/* SIGINT, SIGTERM and SIGHUP, where they would kill, give everything back first. For a
 * process without a loop that handles them; one lease per process. Commands are left to
 * the next start. */
int ws_lease_catch_signals(struct ws_lease *lease, struct ws_error *err);
/* Restores, then gives up the lock. Takes NULL. */
int ws_lease_close(struct ws_lease *lease, struct ws_error *err);

#endif
