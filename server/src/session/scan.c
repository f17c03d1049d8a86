/*-------------------------------------------------------------------------
 *
 * scan.c
 *	  Does a text contain one of a few words, in any case?
 *
 *-------------------------------------------------------------------------
 */
#include "session/scan.h"

#include <stdint.h>

/* An ASCII letter in upper case; anything else as it is. */
static inline char
upper(char c)
{
	return c >= 'a' && c <= 'z' ? (char) (c - 'a' + 'A') : c;
}

/* Does `word`, in upper case, stand at `text`? */
static bool
word_at(const char *text, const char *end, const char *word)
{
	while (*word != '\0' && text < end && upper(*text) == *word)
	{
		text++;
		word++;
	}
	return *word == '\0';
}

/*
 * Search for any of the words. Words begin with letters, so one bit for each
 * letter of the alphabet passes over most of a text.
 */
bool
scan_has_word(const char *text, size_t length, const char *const *words)
{
	const char *end = text + length;
	uint32_t first_letters = 0;
	size_t i;

	for (i = 0; words[i] != NULL; i++)
		first_letters |= UINT32_C(1) << (words[i][0] & 31);
	for (; text < end; text++)
	{
		if ((*text & 0x40) == 0 || (first_letters >> (*text & 31) & 1) == 0)
			continue;
		for (i = 0; words[i] != NULL; i++)
			if (word_at(text, end, words[i]))
				return true;
	}
	return false;
}
