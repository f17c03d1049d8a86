/*-------------------------------------------------------------------------
 *
 * pipeline.c
 *	  What a backend still owes.
 *
 *-------------------------------------------------------------------------
 */
#include "session/pipeline.h"

#include <string.h>

/* The oldest entry, or 0. */
static char
oldest(const Pipeline *pipeline)
{
	return pipeline->entries.length > 0 ? buffer_data(&pipeline->entries)[0] : 0;
}

/* One message of this type went to the backend. */
void
pipeline_sent(Pipeline *pipeline, char type)
{
	switch (type)
	{
		case 'P':
		case 'B':
		case 'C':
		case 'D':
		case 'E':
		case 'Q':
		case 'F':
			if (!pipeline->skipping)
				buffer_append(&pipeline->entries, &type, 1);
			break;
		case 'S':
			if (!pipeline->copying_in)
			{
				pipeline->skipping = false;
				buffer_append(&pipeline->entries, &type, 1);
			}
			break;
		case 'c':
		case 'f':
			if (pipeline->copying_in)
				pipeline->copying_in = false;
			else if (pipeline->entries.length > 0)
				buffer_append(&pipeline->entries, "c", 1);
			break;
		default:
			break;
	}
}

/* The oldest entry is answered; ends of COPY that belonged to it go with it. */
static void
answer_oldest(Pipeline *pipeline)
{
	pipeline->copying_in = false;
	if (pipeline->entries.length > 0)
		buffer_consume(&pipeline->entries, 1);
	while (oldest(pipeline) == 'c')
		buffer_consume(&pipeline->entries, 1);
}

/* An error to an extended message: nothing is answered before a Sync. */
static void
skip_to_sync(Pipeline *pipeline)
{
	const char *entries = buffer_data(&pipeline->entries);
	const char *sync = memchr(entries, 'S', pipeline->entries.length);

	pipeline->copying_in = false;
	pipeline->skipping = sync == NULL;
	buffer_consume(&pipeline->entries, sync ? (size_t) (sync - entries) : pipeline->entries.length);
}

/*
 * COPY FROM STDIN begins under the oldest entry. What the client sent ahead up
 * to the end of its data is read as part of the COPY: a Sync there counts for nothing.
 */
static void
copy_in_begins(Pipeline *pipeline)
{
	char *entries = buffer_data(&pipeline->entries);
	size_t kept = 1;
	size_t i;

	pipeline->copying_in = true;
	for (i = 1; i < pipeline->entries.length; i++)
	{
		if (entries[i] == 'S' && pipeline->copying_in)
			continue;
		if (entries[i] == 'c')
			pipeline->copying_in = false;
		entries[kept++] = entries[i];
	}
	if (pipeline->entries.length > 0)
		pipeline->entries.length = kept;
}

/* One message of this type came from the backend. */
void
pipeline_received(Pipeline *pipeline, char type)
{
	char head = oldest(pipeline);

	switch (type)
	{
		case '1':
			if (head == 'P')
				answer_oldest(pipeline);
			break;
		case '2':
			if (head == 'B')
				answer_oldest(pipeline);
			break;
		case '3':
			if (head == 'C')
				answer_oldest(pipeline);
			break;
		case 'T':
		case 'n':
			if (head == 'D')
				answer_oldest(pipeline);
			break;
		case 'C':
		case 's':
		case 'I':
			if (head == 'E')
				answer_oldest(pipeline);
			else
				pipeline->copying_in = false;
			break;
		case 'E':
			if (head == 'P' || head == 'B' || head == 'C' || head == 'D' || head == 'E')
				skip_to_sync(pipeline);
			else
				pipeline->copying_in = false;
			break;
		case 'G':
			copy_in_begins(pipeline);
			break;
		case 'Z':
			if (head == 'S' || head == 'Q' || head == 'F')
				answer_oldest(pipeline);
			pipeline->skipping = false;
			break;
		default:
			break;
	}
}

/* Forget everything. */
void
pipeline_free(Pipeline *pipeline)
{
	buffer_free(&pipeline->entries);
}
