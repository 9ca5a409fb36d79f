/* library: shared libraries that are opened when first used, because loading libcurl and what it
 * needs takes longer than all the rest of a start, and most of a script's life may not need it.
 * A library stays open until the process ends: its resolver thread may outlive every handle. */
#ifndef LLM_LIBRARY_H
#define LLM_LIBRARY_H

#include <curl/curl.h>

#include "error.h"

#define LLM_CURL_FUNCTIONS(X) \
    X(global_init)            \
    X(version)                \
    X(easy_init)              \
    X(easy_setopt)            \
    X(easy_getinfo)           \
    X(easy_pause)             \
    X(easy_reset)             \
    X(easy_cleanup)           \
    X(easy_strerror)          \
    X(slist_append)           \
    X(slist_free_all)         \
    X(multi_init)             \
    X(multi_setopt)           \
    X(multi_add_handle)       \
    X(multi_remove_handle)    \
    X(multi_socket_action)    \
    X(multi_info_read)        \
    X(multi_cleanup)

#define LLM_LIBRARY_MEMBER(name) __typeof__(curl_##name) *name;
typedef struct llm_curl {
    LLM_CURL_FUNCTIONS(LLM_LIBRARY_MEMBER)
} llm_curl;

/* libcurl 7.87 or newer; NULL with err when it cannot be opened. Safe to call from any thread. */
const llm_curl *llm_curl_open(llm_err *err);

/* Opens the first of the names that is there and fills functions[i] with the address of symbols[i].
 * 0, or LLM_ESYSTEM with the loader's words. */
int llm_library_open(
    const char *name, const char *const *symbols, void **functions, int count, llm_err *err);

#endif
