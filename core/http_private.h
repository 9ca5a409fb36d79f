/* What http.c (connections, the multi handle, the pool of easy handles) and transfer.c (one
 * exchange) share. Nobody else includes it. */
#ifndef LLM_HTTP_PRIVATE_H
#define LLM_HTTP_PRIVATE_H

#include "http.h"
#include "library.h"

/* An easy handle with what it was last set up for: the next request to the same place sets up
 * nothing but its body. */
typedef struct llm_easy {
    CURL *curl;
    struct curl_slist *headers;
    llm_buffer setup; /* every option that outlives one transfer, as bytes to compare */
    char error[CURL_ERROR_SIZE];
    struct llm_easy *next;
} llm_easy;

struct llm_http {
    llm_source source; /* first */
    llm_loop *loop;
    const llm_curl *curl; /* NULL until the first transfer */
    CURLM *multi;
    llm_http_limits limits;
    llm_easy *idle;
    int idle_count;
    int transfers;    /* alive: they need us */
    bool released;    /* by the owner */
    llm_buffer setup; /* scratch: the setup that a new transfer asks for */
};

/* Lends an easy handle that is set up for request, with its callbacks; NULL with err. */
llm_easy *llm_easy_acquire(llm_http *http, const llm_request *request, llm_err *err);
/* Takes it back; it is no longer in the multi handle. One that failed is not used again: it would
 * report the old failure's errno for the next one. */
void llm_easy_release(llm_http *http, llm_easy *easy, bool is_reusable);

/* A transfer begins or ends to need http. */
void llm_http_retain(llm_http *http);
void llm_http_release(llm_http *http);

/* Sets the callbacks and what else belongs to transfers on a fresh easy handle. */
void llm_transfer_setup(const llm_curl *curl, CURL *easy);
/* The multi handle reports t as finished with this result. */
void llm_transfer_finished(llm_transfer *t, CURLcode result);

#endif
