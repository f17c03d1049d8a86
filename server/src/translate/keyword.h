/*-------------------------------------------------------------------------
 *
 * keyword.h
 *	  PostgreSQL's keywords, as its own header lists them: which words cannot
 *	  stand as a name without quotes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_TRANSLATE_KEYWORD_H
#define FRESHET_TRANSLATE_KEYWORD_H

#include <stdbool.h>
#include <stddef.h>

/* a name anywhere, if quoted or not */
extern bool keyword_is_plain(const char *word);

/* never a name unless quoted */
extern bool keyword_is_reserved(const char *word);

#endif /* FRESHET_TRANSLATE_KEYWORD_H */
