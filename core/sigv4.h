/* sigv4: the Authorization header of AWS Signature Version 4, for requests to AWS (not S3, whose
 * paths are encoded once). SHA-256 and HMAC are libcrypto's, opened by the first signature.
 * Specification: docs.aws.amazon.com, "Create a signed AWS API request". */
#ifndef LLM_SIGV4_H
#define LLM_SIGV4_H

#include <stddef.h>

#include "error.h"

/* All strings are borrowed. The request must carry Host, X-Amz-Date: date and, if there is one,
 * X-Amz-Security-Token: session_token and Content-Type: content_type; these are what is signed. */
typedef struct llm_sigv4 {
    const char *access_key, *secret_key;
    const char *session_token; /* NULL for none */
    const char *region, *service;
    const char *date;         /* "YYYYMMDDTHHMMSSZ", UTC */
    const char *method;       /* "GET" or "POST" */
    const char *url;          /* absolute, percent-encoded as it is sent, without dot segments */
    const char *content_type; /* NULL for none */
    const char *body;
    size_t body_len;
} llm_sigv4;

enum { LLM_SIGV4_BYTES = 65 }; /* hex digits and a NUL */

/* 0, or with err: LLM_EINVAL (date or url is none; more than 64 query parameters), LLM_ENOMEM,
 * LLM_ESYSTEM (no libcrypto). */
int llm_sigv4_sign(const llm_sigv4 *request, char signature[LLM_SIGV4_BYTES], llm_err *err);

/* The SHA-256 of any bytes in hex digits. 0, or with err: LLM_ENOMEM, LLM_ESYSTEM. */
int llm_sigv4_sha256(const void *data, size_t len, char text[LLM_SIGV4_BYTES], llm_err *err);

/* The names of the headers that are signed: "host;x-amz-date" and so on. */
const char *llm_sigv4_headers(const llm_sigv4 *request);

#endif
