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

const char *llm_transfer_header(const llm_transfer *t, const char *name, size_t *len) {
    return llm_header_find(llm_transfer_headers(t), name, len);
}
