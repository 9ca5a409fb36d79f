/* sse: the WHATWG event stream (html.spec.whatwg.org, 9.2.6) as a framer type; see framer.h.
 * The bound of max_bytes is on the data of one event, and also on any other line beside it. Bytes
 * are passed as they are: whoever needs valid UTF-8 decodes the frame's strings. */
#ifndef LLM_SSE_H
#define LLM_SSE_H

#include <stdint.h>

#include "framer.h"

extern const llm_framer_type llm_sse_type;

/* Where a stream that broke off is taken up again: the id of the last whole event (empty: none) and
 * how long its sender wants us to wait before (0: not said). base: made by llm_sse_type. */
const llm_buffer *llm_sse_resumption(const llm_framer *base, uint32_t *retry_ms);

#endif
