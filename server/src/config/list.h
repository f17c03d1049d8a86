/*-------------------------------------------------------------------------
 *
 * list.h
 *	  Settings that are lists.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_LIST_H
#define FRESHET_LIST_H

#include <stddef.h>

#include "session/server.h"

/* The parts of a text between any of these characters; NULL at the end. */
extern char **list_split(const char *text, const char *separators);
extern void list_free(char **list);

/* Aliases written as name[:search_path], with blanks between them. */
extern DatabaseAlias *list_aliases(const char *text, size_t *count);
extern void list_free_aliases(DatabaseAlias *aliases, size_t count);

#endif /* FRESHET_LIST_H */
