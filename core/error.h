/* error: what went wrong, as a code and one line of text.
 * Functions that can fail return 0 (or 1 for "an item") on success and a negative LLM_E… code on
 * failure; the detail goes to a caller-owned llm_err passed last, NULL allowed. Nothing here
 * allocates, prints or exits. */
#ifndef LLM_ERROR_H
#define LLM_ERROR_H

enum {
    LLM_EINVAL = -1,    /* the caller's arguments make no sense */
    LLM_ENOMEM = -2,    /* out of memory */
    LLM_ESYNTAX = -3,   /* bytes that are not the format they claim to be */
    LLM_EDEPTH = -4,    /* nested deeper than the limit */
    LLM_ETOOBIG = -5,   /* larger than the limit */
    LLM_ENETWORK = -6,  /* resolving, connecting, sending or receiving failed */
    LLM_ETIMEOUT = -7,  /* a time limit passed */
    LLM_EPROTOCOL = -8, /* the peer does not speak HTTP as agreed */
    LLM_ECUT = -9,      /* the connection ended before the message did */
    LLM_ECLOSED = -10,  /* the object was closed, or the peer has gone */
    LLM_ESYSTEM = -11,  /* the operating system refused; the text says what */
};

typedef struct llm_err {
    int code;
    char msg[160]; /* one line, NUL-terminated, never holds a credential */
} llm_err;

/* Records code and a printf-style line in err (NULL allowed, text is cut to fit); returns code. */
int llm_fail(llm_err *err, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The short lower-case name of a code: "timeout", "network", … Never NULL. */
const char *llm_code_name(int code);

#endif
