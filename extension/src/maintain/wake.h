/*-------------------------------------------------------------------------
 *
 * wake.h
 *	  What happens at the end of an ordinary transaction.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_WAKE_H
#define FRESHET_WAKE_H

#include "postgres.h"

extern void wake_register(void);

/* At commit of this transaction ... */
extern void wake_launcher_at_commit(void);     /* ... databases have changed */
extern void wake_start_worker_at_commit(void); /* ... CREATE EXTENSION asks */
extern void wake_prepared(void);               /* ... a prepared transaction has ended */

#endif /* FRESHET_WAKE_H */
