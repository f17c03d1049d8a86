/*-------------------------------------------------------------------------
 *
 * tree.h
 *	  Pieces of query trees that every rewriting makes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FRESHET_TREE_H
#define FRESHET_TREE_H

#include "postgres.h"

#include "nodes/parsenodes.h"

extern Query *tree_select(List *rtable, Node *quals);
extern List *tree_columns(List *targets);
extern Node *tree_sublink_columns(Node *node, int rtindex);
extern void tree_copy_end(Query *upper, const Query *query);
extern void tree_forget_relation(RangeTblEntry *rte);
extern bool tree_special(Node *node, void *context);

#endif /* FRESHET_TREE_H */
