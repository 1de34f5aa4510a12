/* json.h: telling jansson's "no memory" from "not JSON": its parser reports both as syntax errors. Private. */
#ifndef RESQ_RECORD_JSON_H
#define RESQ_RECORD_JSON_H

/* Before a call to jansson: from here on failed allocations of this thread are noticed. */
void json_watch(void);
int json_exhausted(void); /* 1 where an allocation failed since json_watch */

#endif
