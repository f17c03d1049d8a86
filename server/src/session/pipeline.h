/*-------------------------------------------------------------------------
 *
 * pipeline.h
 *	  What a backend still owes: one entry for each message sent to it that
 *	  will be answered, oldest first.
 *
 * Invariants:
 *	- Entries are P B C D E (one answer each, "extended") and S Q F (answered up
 *	  to a ReadyForQuery); during the start-up there is one entry S. A CopyDone
 *	  or CopyFail that was sent ahead of its CopyInResponse is remembered as c.
 *	- After an ErrorResponse to an extended entry the backend drops everything
 *	  up to the next Sync, and so does the pipeline (`skipping` until that Sync
 *	  has been sent).
 *	- A Sync sent while the backend reads COPY data is not answered and is no entry.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_PIPELINE_H
#define FRESHET_PIPELINE_H

#include <stdbool.h>
#include <stddef.h>

#include "net/buffer.h"

typedef struct Pipeline
{
	Buffer entries;
	bool skipping;
	bool copying_in;
} Pipeline;

extern void pipeline_sent(Pipeline *pipeline, char type);
extern void pipeline_received(Pipeline *pipeline, char type);
extern void pipeline_free(Pipeline *pipeline);

/* Has everything been answered? */
static inline bool
pipeline_idle(const Pipeline *pipeline)
{
	return pipeline->entries.length == 0 && !pipeline->copying_in;
}

/* How many answers are owed. */
static inline size_t
pipeline_depth(const Pipeline *pipeline)
{
	return pipeline->entries.length;
}

/* Would the backend sit on answers until it is sent a Flush or a Sync? */
static inline bool
pipeline_needs_flush(const Pipeline *pipeline)
{
	char last;

	if (pipeline->entries.length == 0)
		return false;
	last = buffer_data(&pipeline->entries)[pipeline->entries.length - 1];
	return last != 'S' && last != 'Q' && last != 'F';
}

#endif /* FRESHET_PIPELINE_H */
