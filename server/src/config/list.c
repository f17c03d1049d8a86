/*-------------------------------------------------------------------------
 *
 * list.c
 *	  Settings that are lists.
 *
 *-------------------------------------------------------------------------
 */
#include "config/list.h"

#include <stdlib.h>
#include <string.h>

/* Split a text; empty parts are left out. */
char **
list_split(const char *text, const char *separators)
{
	char **list = calloc(strlen(text) / 2 + 2, sizeof *list);
	size_t count = 0;

	if (list == NULL)
		abort();
	while (*(text += strspn(text, separators)) != '\0')
	{
		size_t length = strcspn(text, separators);

		list[count++] = strndup(text, length);
		text += length;
	}
	return list;
}

/* Free what list_split made. */
void
list_free(char **list)
{
	size_t i;

	for (i = 0; list != NULL && list[i] != NULL; i++)
		free(list[i]);
	free(list);
}

/* Read aliases: `doc:doc,public admin` makes two. */
DatabaseAlias *
list_aliases(const char *text, size_t *count)
{
	char **parts = list_split(text, " \t");
	DatabaseAlias *aliases;
	size_t i;

	for (*count = 0; parts[*count] != NULL; (*count)++)
		;
	aliases = calloc(*count + 1, sizeof *aliases);
	if (aliases == NULL)
		abort();
	for (i = 0; i < *count; i++)
	{
		char *colon = strchr(parts[i], ':');

		if (colon != NULL)
		{
			aliases[i].search_path = copy_string(colon + 1);
			*colon = '\0';
		}
		aliases[i].name = copy_string(parts[i]);
	}
	list_free(parts);
	return aliases;
}

/* Free what list_aliases made. */
void
list_free_aliases(DatabaseAlias *aliases, size_t count)
{
	while (count-- > 0)
	{
		free(aliases[count].name);
		free(aliases[count].search_path);
	}
	free(aliases);
}
