/* library: see library.h. */
#include "library.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

int llm_library_open(
    const char *name, const char *const *symbols, void **functions, int count, llm_err *err) {
    void *library = dlopen(name, RTLD_LAZY | RTLD_LOCAL | RTLD_NODELETE);
    if (!library) return llm_fail(err, LLM_ESYSTEM, "cannot load %s: %s", name, dlerror());
    for (int i = 0; i < count; i++) {
        functions[i] = dlsym(library, symbols[i]);
        if (!functions[i]) return llm_fail(err, LLM_ESYSTEM, "%s lacks %s", name, symbols[i]);
    }
    return 0;
}

static llm_curl curl_functions;
static llm_err curl_error;
static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

#define NAME_OF(name) "curl_" #name,

static void open_curl(void) {
    static const char *const symbols[] = {LLM_CURL_FUNCTIONS(NAME_OF)};
    enum { COUNT = sizeof symbols / sizeof *symbols };
    _Static_assert(sizeof(llm_curl) == COUNT * sizeof(void *), "one pointer a function");
    void *functions[COUNT];
    if (llm_library_open("libcurl.so.4", symbols, functions, COUNT, &curl_error)) return;
    memcpy(&curl_functions, functions, sizeof functions);
    if (curl_functions.global_init(CURL_GLOBAL_DEFAULT)) {
        llm_fail(&curl_error, LLM_ESYSTEM, "libcurl does not start");
    }
}

const llm_curl *llm_curl_open(llm_err *err) {
    pthread_once(&curl_once, open_curl);
    if (!curl_error.code) return &curl_functions;
    llm_fail(err, curl_error.code, "%s", curl_error.msg);
    return NULL;
}
