/* terminal: what a text may not do to the terminal that shows it, and the room that it takes. */
#ifndef LLM_TERMINAL_H
#define LLM_TERMINAL_H

#include <stddef.h>

/* Copies text (len bytes of UTF-8) to out (room for 3 * len) with everything neutralised that a
 * terminal would obey: C0 controls but tab and newline become their pictures (U+2400…), DEL, C1
 * controls and bidirectional overrides become U+FFFD. Returns the bytes written. */
size_t llm_terminal_safe(const char *text, size_t len, char *out);

/* Columns that a terminal shows the text in: two for a wide character, none for one that is put on
 * the character before it, one for any other and for each invalid sequence. */
size_t llm_terminal_width(const char *text, size_t len);

#endif
