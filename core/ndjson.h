/* ndjson: a frame for every line that is not blank, as a framer type; see framer.h. */
#ifndef LLM_NDJSON_H
#define LLM_NDJSON_H

#include "framer.h"

extern const llm_framer_type llm_ndjson_type;

#endif
