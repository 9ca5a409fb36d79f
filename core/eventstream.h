/* eventstream: AWS event stream messages (application/vnd.amazon.eventstream) as a framer type; see
 * framer.h. A frame's event is the message's :event-type, :exception-type or :error-code, its data
 * the payload, or the :error-message of an error without one. Both checksums are verified:
 * LLM_ESYNTAX. Specification: smithy.io, "Amazon Event Stream". */
#ifndef LLM_EVENTSTREAM_H
#define LLM_EVENTSTREAM_H

#include "framer.h"

extern const llm_framer_type llm_eventstream_type;

#endif
