/* error: see error.h. */
#include "error.h"

#include <stdarg.h>
#include <stdio.h>

int llm_fail(llm_err *err, int code, const char *format, ...) {
    if (!err) return code;
    err->code = code;
    va_list args;
    va_start(args, format);
    vsnprintf(err->msg, sizeof err->msg, format, args);
    va_end(args);
    return code;
}

const char *llm_code_name(int code) {
    static const char *const names[] = {
        "ok",
        "invalid",
        "memory",
        "syntax",
        "depth",
        "too_big",
        "network",
        "timeout",
        "protocol",
        "cut",
        "closed",
        "system",
    };
    int index = -code;
    return index >= 0 && index < (int)(sizeof names / sizeof *names) ? names[index] : "unknown";
}
