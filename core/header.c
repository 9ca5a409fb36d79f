/* header: reading and checking HTTP header lines (RFC 9110, section 5). Declared in http.h. */
#include <string.h>
#include <strings.h>

#include "http.h"

static bool is_token(unsigned char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c && strchr("!#$%&'*+-.^_`|~", c));
}

const char *llm_header_fault(
    const char *name, size_t name_len, const char *value, size_t value_len) {
    if (name_len == 0) return "its name is empty";
    for (size_t i = 0; i < name_len; i++) {
        if (!is_token((unsigned char)name[i]))
            return "its name has a character that is not allowed";
    }
    for (size_t i = 0; i < value_len; i++) {
        unsigned char c = (unsigned char)value[i];
        if ((c < ' ' && c != '\t') || c == 0x7f) return "its value has a control character";
    }
    bool blank = value_len && (strchr(" \t", value[0]) || strchr(" \t", value[value_len - 1]));
    return blank ? "its value begins or ends with a blank" : NULL;
}

const char *llm_header_find(const llm_buffer *block, const char *name, size_t *len) {
    if (llm_buffer_len(block) == 0) return NULL;
    const char *line = llm_buffer_data(block), *end = line + llm_buffer_len(block);
    size_t name_len = strlen(name);
    for (const char *next; line < end; line = next) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        next = stop ? stop + 1 : end;
        if ((size_t)(next - line) <= name_len || line[name_len] != ':') continue;
        if (strncasecmp(line, name, name_len) != 0) continue;
        const char *value = line + name_len + 1, *last = next;
        while (value < last && (*value == ' ' || *value == '\t')) value++;
        while (last > value && strchr(" \t\r\n", last[-1])) last--;
        *len = (size_t)(last - value);
        return value;
    }
    return NULL;
}

static bool is_length(const char *text, size_t len) {
    enum { MAX_DIGITS = 18 };
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9') return false;
    }
    return len > 0 && len <= MAX_DIGITS;
}

const char *llm_header_framing_fault(const llm_buffer *block) {
    llm_buffer rest = *block; /* borrows: what follows the last value found */
    const char *first = NULL, *value;
    size_t first_len = 0, len;
    while ((value = llm_header_find(&rest, "content-length", &len))) {
        if (!is_length(value, len)) return "its Content-Length is not a length";
        bool differs = first && (len != first_len || memcmp(first, value, len) != 0);
        if (differs) return "its Content-Length comes twice";
        first = value, first_len = len;
        rest.start = (size_t)(value + len - block->bytes);
    }
    bool both = first && llm_header_find(block, "transfer-encoding", &len);
    return both ? "it has a Content-Length and a Transfer-Encoding" : NULL;
}

const char *llm_transfer_header(const llm_transfer *t, const char *name, size_t *len) {
    return llm_header_find(llm_transfer_headers(t), name, len);
}
