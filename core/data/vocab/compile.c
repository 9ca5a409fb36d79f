/* compile: turns a .bpe file and classes.txt into the tables of core/tokenizer/vocab.h.
 *     compile NAME SOURCE.bpe classes.txt OUTPUT
 * It rebuilds the published rank file (`base64 rank` a line) and stops when its SHA-256 is not the
 * one that openai/tiktoken pins, so that a damaged vocabulary never reaches a program. Runs at
 * build time and exits at the first error; memory is left to the end of the process. */
#include <stdio.h>
#include <stdlib.h>

#include "../../tokenizer/vocab.h"
#include "sha256.h"

enum { CODE_POINTS = 0x110000, MAX_RANKS = 1 << 18 };
#define UNUSED 0xFFFFFFu

static const char *const PUBLISHED[][2] = {
    {"o200k_base", "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"},
    {"cl100k_base", "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7"},
    {"p50k_base", "94b5ca7dff4d00767bc256fdd1b27e5b17361d7b8a5f968547f9f23eb70d2069"},
};

typedef struct tables {
    uint32_t n_ranks, n_long;
    llm_parts parts[MAX_RANKS];
    uint32_t starts[MAX_RANKS + 1];
    uint8_t bytes[1 << 21];
    uint8_t classes[CODE_POINTS];
    uint16_t meets[1 << 16];
    uint64_t pairs[(1 << LLM_VOCAB_PAIR_BITS) / 64], joints[(1 << LLM_VOCAB_JOINT_BITS) / 64];
    uint64_t filter[LLM_VOCAB_FILTER_WORDS];
} tables;

static void stop(const char *what, const char *name) {
    fprintf(stderr, "compile: %s: %s\n", name, what);
    exit(1);
}

static void *zeroed(size_t size) {
    void *memory = calloc(1, size);
    if (!memory) stop("out of memory", "");
    return memory;
}

static size_t token_len(const tables *t, uint32_t rank) {
    return t->starts[rank + 1] - t->starts[rank];
}

static uint32_t read_rank(FILE *file) {
    uint32_t rank = 0;
    for (int shift = 0; shift < 24; shift += 8) rank |= (uint32_t)(getc(file) & 0xFF) << shift;
    return rank;
}

/* Appends a copy of a token that stands in bytes already. */
static void add_bytes(tables *t, uint32_t *end, uint32_t rank) {
    size_t len = token_len(t, rank);
    if (*end + len > sizeof t->bytes) stop("too many bytes", "tokens");
    memcpy(t->bytes + *end, t->bytes + t->starts[rank], len);
    *end += (uint32_t)len;
}

static void read_ranks(tables *t, const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) stop("cannot be read", path);
    uint32_t end = 0, rank = 0;
    for (; rank < 256; rank++) {
        t->starts[rank] = end;
        t->bytes[end++] = (uint8_t)getc(file);
        t->parts[rank] = (llm_parts){rank, rank, rank, 1};
    }
    for (int byte; (byte = getc(file)) != EOF; rank++) {
        ungetc(byte, file);
        uint32_t left = read_rank(file), right = read_rank(file);
        t->starts[rank] = end;
        if (left == UNUSED) continue;
        if (left >= rank || right >= rank || rank + 1 == MAX_RANKS) stop("is damaged", path);
        add_bytes(t, &end, left);
        add_bytes(t, &end, right);
        if (end - t->starts[rank] > LLM_VOCAB_LONGEST) stop("has a token that is too long", path);
        t->parts[rank] = (llm_parts){left, right, 0, end - t->starts[rank]};
    }
    t->starts[rank] = end;
    t->n_ranks = rank;
    fclose(file);
}

static char *put_base64(char *out, const uint8_t *p, size_t len) {
    static const char DIGITS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < len; i += 3) {
        uint32_t three = (uint32_t)p[i] << 16;
        if (i + 1 < len) three |= (uint32_t)p[i + 1] << 8;
        if (i + 2 < len) three |= p[i + 2];
        *out++ = DIGITS[three >> 18];
        *out++ = DIGITS[three >> 12 & 63];
        *out++ = i + 1 < len ? DIGITS[three >> 6 & 63] : '=';
        *out++ = i + 2 < len ? DIGITS[three & 63] : '=';
    }
    return out;
}

static void check_published(const tables *t, const char *name) {
    char *text = zeroed(2 * sizeof t->bytes + 16 * (size_t)MAX_RANKS), *out = text, hex[65];
    for (uint32_t rank = 0; rank < t->n_ranks; rank++) {
        if (token_len(t, rank) == 0) continue;
        out = put_base64(out, t->bytes + t->starts[rank], token_len(t, rank));
        out += sprintf(out, " %u\n", (unsigned)rank);
    }
    sha256_hex((uint8_t *)text, (size_t)(out - text), hex);
    for (size_t i = 0; i < sizeof PUBLISHED / sizeof *PUBLISHED; i++) {
        if (strcmp(PUBLISHED[i][0], name) == 0 && strcmp(PUBLISHED[i][1], hex) == 0) return;
    }
    stop("is not the published vocabulary", name);
}

static void read_classes(tables *t, const char *path) {
    static const char *const NAMES[] = {
        "other", "upper", "lower", "letter", "mark", "number", "space", "newline"};
    FILE *file = fopen(path, "r");
    if (!file) stop("cannot be read", path);
    char line[256], name[16];
    unsigned first, last;
    while (fgets(line, sizeof line, file)) {
        if (line[0] == '#') continue;
        uint8_t class = 0;
        if (sscanf(line, "%x %x %15s", &first, &last, name) != 3) stop("is damaged", path);
        while (class < 8 && strcmp(name, NAMES[class]) != 0) class ++;
        if (class == 8 || last >= CODE_POINTS) stop("is damaged", path);
        for (unsigned code = first; code <= last; code++) t->classes[code] = class;
    }
    fclose(file);
}

/* Three-byte characters: as many as count, that are equal in what first shows of them. */
typedef struct codes {
    uint32_t first, count;
} codes;

/* Which three-byte characters may end in the bytes before p[at]. */
static codes codes_before(const uint8_t *p, size_t at) {
    size_t more = 0;
    while (more < at && more < 3 && (p[at - 1 - more] & 0xC0) == 0x80) more++;
    uint32_t low = 0;
    for (size_t i = 0; i < more; i++) low |= (uint32_t)(p[at - 1 - i] & 0x3F) << 6 * i;
    if (more == at && more == 1) return (codes){low, 1 << 10};
    if (more == at && more == 2) return (codes){low, 1 << 4};
    if (more == 2 && p[at - 3] >> 4 == 0xE) {
        return (codes){(uint32_t)(p[at - 3] & 15) << 12 | low, 1};
    }
    return (codes){0, 0};
}

/* Which three-byte characters may begin with the bytes from p[0] on. */
static codes codes_after(const uint8_t *p, size_t len) {
    if (p[0] >> 4 != 0xE) return (codes){0, 0};
    uint32_t code = (uint32_t)(p[0] & 15) << 12;
    if (len == 1) return (codes){code, 1 << 12};
    code |= (uint32_t)(p[1] & 0x3F) << 6;
    if (len == 2) return (codes){code, 1 << 6};
    return (codes){code | (p[2] & 0x3F), 1};
}

static void set_bit(uint64_t *bits, uint32_t at) { bits[at / 64] |= (uint64_t)1 << at % 64; }

static void mark_span(tables *t, const uint8_t *p, size_t at, size_t len) {
    codes before = codes_before(p, at), after = codes_after(p + at, len - at);
    if (before.count == 1 && after.count == 1) {
        set_bit(t->pairs, llm_vocab_pair(before.first, after.first));
        return;
    }
    for (uint32_t i = 0; before.count && i < after.count; i++) {
        set_bit(t->joints, llm_vocab_joint(before.first, after.first + i));
    }
}

static void fill_cuts(tables *t) {
    for (uint32_t rank = 0; rank < t->n_ranks; rank++) {
        const uint8_t *p = t->bytes + t->starts[rank];
        for (size_t at = 1; at < token_len(t, rank); at++) {
            if ((p[at] & 0xC0) != 0x80) mark_span(t, p, at, token_len(t, rank));
        }
    }
}

static const tables *sorted; /* what by_bytes compares the ranks of */

static int by_bytes(const void *a, const void *b) {
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    size_t left_len = token_len(sorted, left), right_len = token_len(sorted, right);
    const uint8_t *bytes = sorted->bytes;
    int order = memcmp(bytes + sorted->starts[left], bytes + sorted->starts[right],
        left_len < right_len ? left_len : right_len);
    return order ? order : (left_len > right_len) - (left_len < right_len);
}

static bool begins_with(const tables *t, uint32_t rank, uint32_t start) {
    size_t len = token_len(t, start);
    const uint8_t *p = t->bytes + t->starts[rank];
    return token_len(t, rank) > len && memcmp(p, t->bytes + t->starts[start], len) == 0;
}

/* In the order of the bytes, what a token begins with stands before it: the token just before, or
 * what that one begins with, and so on. */
static void fill_shorter(tables *t) {
    uint32_t *ranks = zeroed(t->n_ranks * sizeof *ranks), n = 0;
    for (uint32_t rank = 0; rank < t->n_ranks; rank++) {
        if (token_len(t, rank) > 0) ranks[n++] = rank;
    }
    sorted = t;
    qsort(ranks, n, sizeof *ranks, by_bytes);
    for (uint32_t i = 0; i < n; i++) {
        llm_parts *parts = &t->parts[ranks[i]];
        if (parts->len == 1) continue;
        uint32_t start = ranks[i - 1];
        while (!begins_with(t, ranks[i], start)) start = t->parts[start].shorter;
        parts->shorter = start;
    }
}

static void fill_meets(tables *t) {
    memset(t->meets, 0xFF, sizeof t->meets);
    for (uint32_t rank = t->n_ranks; rank-- > 0;) { /* the lowest comes last and stays */
        const uint8_t *p = t->bytes + t->starts[rank];
        for (size_t i = 1; i < token_len(t, rank); i++) {
            t->meets[p[i - 1] << 8 | p[i]] = (uint16_t)(rank >> LLM_VOCAB_MEET_SHIFT);
        }
    }
}

static void fill_filter(tables *t) {
    for (uint32_t rank = 0; rank < t->n_ranks; rank++) {
        const uint8_t *p = t->bytes + t->starts[rank];
        size_t len = token_len(t, rank);
        for (size_t i = 1; i <= len && i <= LLM_VOCAB_SHORT; i++) {
            uint64_t hash = llm_vocab_hash(llm_vocab_key(p, i, p + i));
            uint64_t *word = &t->filter[llm_vocab_filter_word(hash)];
            *word |= (uint64_t)1 << (hash & 63);
            if (i == len) *word |= (uint64_t)1 << (hash >> 6 & 63);
        }
    }
}

/* The key of a token, all zero if it is too long for the short table or unused. */
static llm_slot key_of(const tables *t, uint32_t rank) {
    const uint8_t *p = t->bytes + t->starts[rank];
    size_t len = token_len(t, rank);
    return len > 0 && len <= LLM_VOCAB_SHORT ? llm_vocab_key(p, len, p + len) : (llm_slot){0, 0};
}

/* Of five slots four are in use. */
static void size_buckets(const tables *t, llm_vocab *v) {
    uint32_t n[2] = {0, 0};
    for (uint32_t rank = 0; rank < t->n_ranks; rank++) {
        llm_slot key = key_of(t, rank);
        if (key.high) n[llm_vocab_hash(key) >> 63]++;
    }
    for (int i = 0; i < 2; i++) v->n_buckets[i] = n[i] * 5 / 4 / LLM_VOCAB_BUCKET + 1;
}

static llm_slot *fill_slots(const tables *t, llm_vocab *v) {
    size_t n = llm_vocab_n_slots(v);
    llm_slot *slots = zeroed(n * sizeof *slots);
    v->slots = slots;
    for (uint32_t rank = 0; rank < t->n_ranks; rank++) {
        llm_slot key = key_of(t, rank);
        if (!key.high) continue;
        size_t at = (size_t)(llm_vocab_bucket(v, llm_vocab_hash(key)) - slots);
        while (slots[at].high) at = (at + 1) % n;
        slots[at] = (llm_slot){key.low, key.high | (uint64_t)rank << LLM_VOCAB_RANK_SHIFT};
    }
    return slots;
}

static llm_long_slot *long_slot(llm_long_slot *longs, uint32_t bits, uint64_t hash) {
    size_t at = hash >> (64 - bits), mask = ((size_t)1 << bits) - 1;
    while (longs[at].tag) at = (at + 1) & mask;
    longs[at].tag = llm_vocab_tag(hash);
    return &longs[at];
}

/* Two prefixes with the same tag share a slot: a length that is too large does no harm. */
static void note_prefix(const tables *t, llm_long_slot *longs, uint32_t bits, uint32_t rank) {
    const uint8_t *p = t->bytes + t->starts[rank];
    uint32_t len = t->parts[rank].len;
    uint64_t hash = llm_vocab_hash_prefix(p);
    size_t mask = ((size_t)1 << bits) - 1, at = hash >> (64 - bits);
    while (longs[at].tag && longs[at].tag != llm_vocab_tag(hash)) at = (at + 1) & mask;
    llm_long_slot *slot = longs[at].tag ? &longs[at] : long_slot(longs, bits, hash);
    uint32_t mixed = slot->value & ((1 << LLM_LONG_RUN_SHIFT) - 1);
    uint32_t run = slot->value >> LLM_LONG_RUN_SHIFT;
    bool is_run = memcmp(p, p + 1, len - 1) == 0;
    if (is_run && run && t->bytes[t->starts[run]] != p[0]) stop("share a slot", "two runs");
    if (is_run && (!run || len > t->parts[run].len)) run = rank;
    if (!is_run && len > mixed) mixed = len;
    slot->value = mixed | run << LLM_LONG_RUN_SHIFT;
}

/* Prefixes go in first: a search for one must not end at a token with the same tag. */
static llm_long_slot *fill_longs(const tables *t, uint32_t bits) {
    llm_long_slot *longs = zeroed(sizeof *longs << bits);
    for (uint32_t rank = 0; rank < t->n_ranks; rank++) {
        if (token_len(t, rank) > LLM_VOCAB_SHORT) note_prefix(t, longs, bits, rank);
    }
    for (uint32_t rank = 0; rank < t->n_ranks; rank++) {
        size_t len = token_len(t, rank);
        if (len <= LLM_VOCAB_SHORT) continue;
        uint64_t hash = llm_vocab_hash_long(t->bytes + t->starts[rank], len);
        long_slot(longs, bits, hash)->value = rank;
    }
    return longs;
}

static void fill_small(const tables *t, uint32_t *singles, uint32_t *doubles) {
    memset(doubles, 0xFF, (1 << 16) * sizeof *doubles); /* LLM_VOCAB_NONE */
    for (uint32_t rank = 0; rank < t->n_ranks; rank++) {
        const uint8_t *p = t->bytes + t->starts[rank];
        if (token_len(t, rank) == 1) singles[p[0]] = rank;
        if (token_len(t, rank) == 2) doubles[p[0] << 8 | p[1]] = rank;
    }
}

/* Blocks that are equal are kept once; index says which block a code point is in. */
static uint32_t fill_blocks(const tables *t, uint8_t *index, uint8_t *blocks) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < CODE_POINTS / LLM_VOCAB_BLOCK; i++) {
        const uint8_t *block = t->classes + (size_t)i * LLM_VOCAB_BLOCK;
        uint32_t same = 0;
        while (same < n && memcmp(blocks + same * LLM_VOCAB_BLOCK, block, LLM_VOCAB_BLOCK) != 0) {
            same++;
        }
        if (same == 256) stop("needs more than 256 blocks", "classes");
        if (same == n) memcpy(blocks + n++ * LLM_VOCAB_BLOCK, block, LLM_VOCAB_BLOCK);
        index[i] = (uint8_t)same;
    }
    return n;
}

/* The long tokens first: only they are compared with a text, and so few pages of them are read. */
static void pack_bytes(const tables *t, uint32_t *starts, uint8_t *bytes) {
    uint32_t end = 0;
    for (int is_short = 0; is_short < 2; is_short++) {
        for (uint32_t rank = 0; rank < t->n_ranks; rank++) {
            size_t len = token_len(t, rank);
            if ((len <= LLM_VOCAB_SHORT) != is_short) continue;
            starts[rank] = end;
            memcpy(bytes + end, t->bytes + t->starts[rank], len);
            end += (uint32_t)len;
        }
    }
}

/* Writes a table at the next cache line; returns where it begins. */
static uint32_t put(FILE *file, const void *table, size_t size) {
    while (ftell(file) % 64) putc(0, file);
    uint32_t at = (uint32_t)ftell(file);
    if (fwrite(table, 1, size, file) != size) stop("cannot be written", "output");
    return at;
}

static void write_tables(const tables *t, const char *path) {
    static uint8_t index[CODE_POINTS / LLM_VOCAB_BLOCK], blocks[256 * LLM_VOCAB_BLOCK];
    static uint32_t starts[MAX_RANKS], singles[256], doubles[1 << 16];
    static uint8_t bytes[sizeof t->bytes];
    llm_vocab v = {0};
    uint32_t long_bits = 1;
    size_buckets(t, &v);
    while ((size_t)1 << long_bits < 3 * (size_t)t->n_long) long_bits++;
    llm_vocab_head head = {.magic = LLM_VOCAB_MAGIC,
        .n_ranks = t->n_ranks,
        .n_buckets = {v.n_buckets[0], v.n_buckets[1]},
        .long_bits = long_bits};
    FILE *file = fopen(path, "wb");
    if (!file) stop("cannot be written", path);
    put(file, &head, sizeof head);
    head.slots = put(file, fill_slots(t, &v), llm_vocab_n_slots(&v) * sizeof(llm_slot));
    head.longs = put(file, fill_longs(t, long_bits), sizeof(llm_long_slot) << long_bits);
    head.parts = put(file, t->parts, t->n_ranks * sizeof *t->parts);
    pack_bytes(t, starts, bytes);
    head.starts = put(file, starts, t->n_ranks * sizeof *starts);
    head.bytes = put(file, bytes, t->starts[t->n_ranks]);
    head.meets = put(file, t->meets, sizeof t->meets);
    head.pairs = put(file, t->pairs, sizeof t->pairs);
    head.joints = put(file, t->joints, sizeof t->joints);
    head.filter = put(file, t->filter, sizeof t->filter);
    fill_small(t, singles, doubles);
    head.singles = put(file, singles, sizeof singles);
    head.doubles = put(file, doubles, sizeof doubles);
    head.class_blocks = put(file, blocks, fill_blocks(t, index, blocks) * LLM_VOCAB_BLOCK);
    head.class_index = put(file, index, sizeof index);
    rewind(file);
    put(file, &head, sizeof head);
    if (fclose(file) != 0) stop("cannot be written", path);
}

int main(int argc, char **argv) {
    if (argc != 5) stop("NAME SOURCE.bpe classes.txt OUTPUT", "arguments");
    tables *t = zeroed(sizeof *t);
    read_ranks(t, argv[2]);
    check_published(t, argv[1]);
    for (uint32_t rank = 0; rank < t->n_ranks; rank++) {
        t->n_long += token_len(t, rank) > LLM_VOCAB_SHORT;
    }
    read_classes(t, argv[3]);
    fill_cuts(t);
    fill_shorter(t);
    fill_meets(t);
    fill_filter(t);
    write_tables(t, argv[4]);
    return 0;
}
