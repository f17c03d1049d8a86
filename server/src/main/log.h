/*-------------------------------------------------------------------------
 *
 * log.h
 *	  One line for whoever runs the server.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_LOG_H
#define FRESHET_LOG_H

/* One line on standard error, after the name of the program. */
extern void log_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif /* FRESHET_LOG_H */
