/* framer: see framer.h. The one place that knows which formats there are. */
#include <string.h>

#include "body.h"
#include "eventstream.h"
#include "ndjson.h"
#include "sse.h"

/* So that no sum of a limit and a few lengths overflows. */
static const size_t LARGEST = (size_t)-1 / 4;

static const llm_framer_type *const types[] = {
    &llm_sse_type,
    &llm_ndjson_type,
    &llm_eventstream_type,
    &llm_body_type,
};

static const llm_framer_type *find(const char *name) {
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (strcmp(types[i]->name, name) == 0) return types[i];
    }
    return NULL;
}

llm_framer *llm_framer_new(const char *name, size_t max_bytes, llm_err *err) {
    const llm_framer_type *type = find(name);
    if (!type) {
        llm_fail(err, LLM_EINVAL, "unknown framing '%s' (sse, ndjson, eventstream or json)", name);
        return NULL;
    }
    llm_framer *f = type->create(max_bytes < LARGEST ? max_bytes : LARGEST);
    if (!f) llm_fail(err, LLM_ENOMEM, "out of memory");
    return f;
}

void llm_framer_free(llm_framer *f) {
    if (f) f->type->destroy(f);
}
