/*-------------------------------------------------------------------------
 *
 * dialect.h
 *	  Materialize's dialect: for the door of its own, where DDL that opens a
 *	  block commits at once, and for the others.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_MATERIALIZE_DIALECT_H
#define FRESHET_MATERIALIZE_DIALECT_H

#include "session/dialect.h"

extern const Dialect materialize_dialect;
extern const Dialect materialize_own_dialect;

#endif /* FRESHET_MATERIALIZE_DIALECT_H */
