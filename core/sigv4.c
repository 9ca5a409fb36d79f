/* sigv4: see sigv4.h. A canonical request is written, its hash is signed with a key that is derived
 * from the secret, the date, the region and the service. */
#include "sigv4.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "buffer.h"
#include "library.h"

enum { HASH = 32, MAX_PARAMETERS = 64, DATE = 16, DAY = 8 };

/* --- libcrypto ---------------------------------------------------------------------------------- */

/* openssl/evp.h and openssl/hmac.h; an EVP_MD is only passed on. */
typedef struct crypto {
    const void *(*sha256)(void);
    int (*digest)(const void *data, size_t len, unsigned char *hash, unsigned *hash_len,
        const void *type, void *engine);
    unsigned char *(*hmac)(const void *type, const void *key, int key_len,
        const unsigned char *data, size_t len, unsigned char *hash, unsigned *hash_len);
} crypto;

static crypto crypto_functions;
static llm_err crypto_error;
static pthread_once_t crypto_once = PTHREAD_ONCE_INIT;

static void open_crypto(void) {
    static const char *const symbols[] = {"EVP_sha256", "EVP_Digest", "HMAC"};
    void *functions[3];
    _Static_assert(sizeof(crypto) == sizeof functions, "one pointer a function");
    if (llm_library_open("libcrypto.so.3", symbols, functions, 3, &crypto_error)) return;
    memcpy(&crypto_functions, functions, sizeof functions);
}

static int sha256(const void *data, size_t len, unsigned char hash[HASH]) {
    const crypto *c = &crypto_functions;
    return c->digest(data, len, hash, NULL, c->sha256(), NULL) == 1 ? 0 : LLM_ENOMEM;
}

static int hmac(const void *key, size_t key_len, const char *text, unsigned char hash[HASH]) {
    const crypto *c = &crypto_functions;
    const unsigned char *data = (const unsigned char *)text;
    unsigned len = 0;
    return c->hmac(c->sha256(), key, (int)key_len, data, strlen(text), hash, &len) ? 0 : LLM_ENOMEM;
}

/* --- text --------------------------------------------------------------------------------------- */

/* What is being written. Once memory is out nothing more is appended, and the end says so. */
typedef struct writer {
    llm_buffer text;
    bool failed;
} writer;

static void put(writer *w, const char *text, size_t len) {
    if (!w->failed && llm_buffer_append(&w->text, text, len)) w->failed = true;
}

static void put_all(writer *w, const char *const *texts) {
    for (; *texts; texts++) put(w, *texts, strlen(*texts));
}
#define PUT(w, ...) put_all((w), (const char *const[]){__VA_ARGS__, NULL})

static void hex_of(const unsigned char hash[HASH], char text[LLM_SIGV4_BYTES]) {
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < HASH; i++) {
        text[2 * i] = digits[hash[i] >> 4];
        text[2 * i + 1] = digits[hash[i] & 15];
    }
    text[LLM_SIGV4_BYTES - 1] = '\0';
}

static void put_hex(writer *w, const unsigned char hash[HASH]) {
    char text[LLM_SIGV4_BYTES];
    hex_of(hash, text);
    PUT(w, text);
}

static bool is_unreserved(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("-._~", c));
}

/* Percent-encodes every byte that is neither unreserved nor the one that is kept. */
static void put_encoded(writer *w, const char *text, size_t len, char kept) {
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        char code[] = {'%', digits[c >> 4], digits[c & 15]};
        if (is_unreserved(text[i]) || text[i] == kept) {
            put(w, &text[i], 1);
        } else {
            put(w, code, sizeof code);
        }
    }
}

/* --- the canonical request ---------------------------------------------------------------------- */

typedef struct slice {
    const char *text;
    size_t len;
} slice;

typedef struct address {
    slice host, path, query;
} address;

static bool ends_with(slice s, const char *end) {
    size_t len = strlen(end);
    return s.len > len && memcmp(s.text + s.len - len, end, len) == 0;
}

/* Takes the URL apart; libcurl leaves a scheme's own port out of the Host header. */
static int split(const char *url, address *a) {
    const char *host = strstr(url, "://");
    if (!host) return LLM_EINVAL;
    bool secure = strncmp(url, "https", 5) == 0;
    host += 3;
    a->host = (slice){host, strcspn(host, "/?#")};
    a->path = (slice){host + a->host.len, strcspn(host + a->host.len, "?#")};
    a->query = (slice){a->path.text + a->path.len, strcspn(a->path.text + a->path.len, "#")};
    if (a->query.len) a->query.text++, a->query.len--;
    const char *port = secure ? ":443" : ":80";
    if (ends_with(a->host, port)) a->host.len -= strlen(port);
    return 0;
}

static int compare(slice a, slice b) {
    int order = memcmp(a.text, b.text, a.len < b.len ? a.len : b.len);
    if (order) return order;
    return a.len < b.len ? -1 : a.len > b.len;
}

typedef struct parameter {
    slice name, value;
} parameter;

static int compare_parameters(const void *left, const void *right) {
    const parameter *a = left, *b = right;
    int order = compare(a->name, b->name);
    return order ? order : compare(a->value, b->value);
}

static int put_query(writer *w, slice query) {
    parameter list[MAX_PARAMETERS];
    size_t count = 0;
    for (const char *at = query.text, *end = at + query.len; at < end;) {
        const char *stop = memchr(at, '&', (size_t)(end - at));
        if (!stop) stop = end;
        const char *equals = memchr(at, '=', (size_t)(stop - at));
        const char *value = equals ? equals + 1 : stop;
        if (count == MAX_PARAMETERS) return LLM_EINVAL;
        list[count++] = (parameter){
            {at, (size_t)((equals ? equals : stop) - at)}, {value, (size_t)(stop - value)}};
        at = stop + (stop < end);
    }
    qsort(list, count, sizeof *list, compare_parameters);
    for (size_t i = 0; i < count; i++) {
        if (i > 0) put(w, "&", 1);
        put_encoded(w, list[i].name.text, list[i].name.len, '%');
        put(w, "=", 1);
        put_encoded(w, list[i].value.text, list[i].value.len, '%');
    }
    return 0;
}

const char *llm_sigv4_headers(const llm_sigv4 *r) {
    if (r->content_type && r->session_token)
        return "content-type;host;x-amz-date;x-amz-security-token";
    if (r->session_token) return "host;x-amz-date;x-amz-security-token";
    return r->content_type ? "content-type;host;x-amz-date" : "host;x-amz-date";
}

static int put_canonical(writer *w, const llm_sigv4 *r) {
    address a;
    unsigned char hash[HASH];
    if (split(r->url, &a)) return LLM_EINVAL;
    if (sha256(r->body, r->body_len, hash)) return LLM_ENOMEM;
    PUT(w, r->method, "\n");
    /* The path was encoded once already: to sign it, AWS encodes it again. */
    put_encoded(w, a.path.len ? a.path.text : "/", a.path.len ? a.path.len : 1, '/');
    put(w, "\n", 1);
    if (put_query(w, a.query)) return LLM_EINVAL;
    put(w, "\n", 1);
    if (r->content_type) PUT(w, "content-type:", r->content_type, "\n");
    PUT(w, "host:");
    put(w, a.host.text, a.host.len);
    PUT(w, "\nx-amz-date:", r->date, "\n");
    if (r->session_token) PUT(w, "x-amz-security-token:", r->session_token, "\n");
    PUT(w, "\n", llm_sigv4_headers(r), "\n");
    put_hex(w, hash);
    return 0;
}

/* --- the signature ------------------------------------------------------------------------------ */

/* text, NUL-terminated, signed with the key of this day, region and service. */
static int sign(const llm_sigv4 *r, const char *text, unsigned char hash[HASH]) {
    writer secret = {0};
    PUT(&secret, "AWS4", r->secret_key);
    char day[DAY + 1] = {0};
    memcpy(day, r->date, DAY);
    int rc = secret.failed
                 ? LLM_ENOMEM
                 : hmac(llm_buffer_data(&secret.text), llm_buffer_len(&secret.text), day, hash);
    const char *const steps[] = {r->region, r->service, "aws4_request", text};
    for (int i = 0; i < 4 && rc == 0; i++) {
        unsigned char next[HASH];
        rc = hmac(hash, HASH, steps[i], next);
        memcpy(hash, next, HASH);
    }
    llm_buffer_clear(&secret.text);
    return rc;
}

/* What is signed, in place of the canonical request that it names by its hash. */
static int make_string_to_sign(writer *w, const llm_sigv4 *r) {
    unsigned char hash[HASH];
    int rc = put_canonical(w, r);
    if (rc == 0 && w->failed) rc = LLM_ENOMEM;
    if (rc == 0) rc = sha256(llm_buffer_data(&w->text), llm_buffer_len(&w->text), hash);
    if (rc) return rc;
    llm_buffer_reset(&w->text, (size_t)-1);
    PUT(w, "AWS4-HMAC-SHA256\n", r->date, "\n");
    put(w, r->date, DAY);
    PUT(w, "/", r->region, "/", r->service, "/aws4_request\n");
    put_hex(w, hash);
    put(w, "", 1); /* hmac reads a string */
    return w->failed ? LLM_ENOMEM : 0;
}

/* 0, or with err: LLM_ESYSTEM. */
static int need_crypto(llm_err *err) {
    pthread_once(&crypto_once, open_crypto);
    if (crypto_error.code) return llm_fail(err, crypto_error.code, "%s", crypto_error.msg);
    return 0;
}

int llm_sigv4_sha256(const void *data, size_t len, char text[LLM_SIGV4_BYTES], llm_err *err) {
    unsigned char hash[HASH];
    int rc = need_crypto(err);
    if (rc) return rc;
    if (sha256(data, len, hash)) return llm_fail(err, LLM_ENOMEM, "out of memory");
    hex_of(hash, text);
    return 0;
}

int llm_sigv4_sign(const llm_sigv4 *r, char signature[LLM_SIGV4_BYTES], llm_err *err) {
    int rc = need_crypto(err);
    if (rc) return rc;
    if (strlen(r->date) != DATE) return llm_fail(err, LLM_EINVAL, "the date is not ISO 8601 basic");
    writer w = {0};
    unsigned char hash[HASH];
    rc = make_string_to_sign(&w, r);
    if (rc == 0) rc = sign(r, llm_buffer_data(&w.text), hash);
    llm_buffer_clear(&w.text);
    if (rc == LLM_EINVAL) return llm_fail(err, rc, "the URL cannot be signed");
    if (rc) return llm_fail(err, rc, "out of memory");
    hex_of(hash, signature);
    return 0;
}
