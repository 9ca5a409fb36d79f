/* body: all bytes as one frame with event "body", given by finish, as a framer type named "json";
 * see framer.h. Of no bytes no frame is made. */
#ifndef LLM_BODY_H
#define LLM_BODY_H

#include "framer.h"

extern const llm_framer_type llm_body_type;

#endif
