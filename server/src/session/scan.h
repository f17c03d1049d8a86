/*-------------------------------------------------------------------------
 *
 * scan.h
 *	  Does a text contain one of a few words, in any case?
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_SCAN_H
#define FRESHET_SCAN_H

#include <stdbool.h>
#include <stddef.h>

extern bool scan_has_word(const char *text, size_t length, const char *const *words);

#endif /* FRESHET_SCAN_H */
