/*-------------------------------------------------------------------------
 *
 * keyword.c
 *	  PostgreSQL's keywords, as its own header lists them.
 *
 *-------------------------------------------------------------------------
 */
#include "translate/keyword.h"

#include <stdlib.h>
#include <string.h>

typedef enum KeywordKind
{
	UNRESERVED_KEYWORD,
	COL_NAME_KEYWORD,
	TYPE_FUNC_NAME_KEYWORD,
	RESERVED_KEYWORD,
	NO_KEYWORD
} KeywordKind;

typedef struct Keyword
{
	const char *word;
	KeywordKind kind;
} Keyword;

/* sorted by the word */
static const Keyword keywords[] = {
#define PG_KEYWORD(word, value, kind, label) {word, kind},
#include "parser/kwlist.h"
#undef PG_KEYWORD
};

/* Compare two keywords by their word. */
static int
compare_keywords(const void *left, const void *right)
{
	return strcmp(((const Keyword *) left)->word, ((const Keyword *) right)->word);
}

/* What PostgreSQL says of a word in lower case. */
static KeywordKind
keyword_kind(const char *word)
{
	const Keyword wanted = {word, NO_KEYWORD};
	const Keyword *found = bsearch(&wanted, keywords, sizeof keywords / sizeof keywords[0],
	                               sizeof keywords[0], compare_keywords);

	return found != NULL ? found->kind : NO_KEYWORD;
}

/* Can this word in lower case be a name anywhere as it stands? */
bool
keyword_is_plain(const char *word)
{
	KeywordKind kind = keyword_kind(word);

	return kind == NO_KEYWORD || kind == UNRESERVED_KEYWORD;
}

/* Is this word in lower case never a name as it stands? */
bool
keyword_is_reserved(const char *word)
{
	return keyword_kind(word) == RESERVED_KEYWORD;
}
