/* failing: memory that runs out when a test says so. Linked to every C test; with
 * --wrap=malloc,calloc,realloc it sees each allocation of the core and of the test itself, but none
 * from inside a shared library (libc, libcurl). One thread only. A sweep reads:
 *
 *     bool failed;
 *     int n = 0;
 *     do {
 *         fail_after(n++);
 *         int rc = work();
 *         failed = fail_stop();
 *         cr_assert_eq(rc, failed ? LLM_ENOMEM : 0);
 *     } while (failed); */
#ifndef LLM_TEST_FAILING_H
#define LLM_TEST_FAILING_H

#include <stdbool.h>

void fail_after(int n); /* the next n allocations succeed, all later ones fail */
bool fail_stop(void);   /* memory is back; true if an allocation failed since fail_after */

#endif
