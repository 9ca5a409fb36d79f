/* buffer: bytes keep their order and offset while it grows, moves and runs out of memory. */
#include "buffer.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <string.h>

#include "failing.h"

Test(buffer, begins_empty_and_takes_nothing) {
    llm_buffer b;
    llm_buffer_init(&b);
    cr_expect_eq(llm_buffer_len(&b), 0);
    cr_expect_eq(llm_buffer_append(&b, NULL, 0), 0);
    llm_buffer_take(&b, 10);
    llm_buffer_reset(&b, 0);
    cr_expect_eq(llm_buffer_len(&b), 0);
    llm_buffer_clear(&b);
}

/* A queue of numbered bytes, longer at the end than at the front and back again. */
Test(buffer, is_a_queue) {
    llm_buffer b = {0};
    unsigned char in = 0, out = 0;
    for (int round = 0; round < 2000; round++) {
        unsigned char piece[97];
        size_t len = (size_t)(round * 7 % 97), take = (size_t)(round * 5 % 89);
        for (size_t i = 0; i < len; i++) piece[i] = in++;
        cr_assert_eq(llm_buffer_append(&b, piece, len), 0);
        if (round > 1500) take *= 3;
        for (size_t i = 0; i < take && i < llm_buffer_len(&b); i++) {
            cr_assert_eq((unsigned char)llm_buffer_data(&b)[i], out++);
        }
        llm_buffer_take(&b, take);
    }
    llm_buffer_clear(&b);
}

Test(buffer, uses_what_was_taken_again) {
    llm_buffer b = {0};
    char piece[100] = {0};
    for (int i = 0; i < 10000; i++) {
        cr_assert_eq(llm_buffer_append(&b, piece, sizeof piece), 0);
        if (i > 0) llm_buffer_take(&b, sizeof piece); /* never empty */
    }
    cr_expect_lt(b.capacity, 2000);
    llm_buffer_clear(&b);
}

Test(buffer, reserves_room_without_growing) {
    llm_buffer b = {0};
    char *room = llm_buffer_reserve(&b, 1000);
    cr_assert_not_null(room);
    cr_expect_eq(llm_buffer_len(&b), 0);
    memset(room, 'x', 1000);
    llm_buffer_grow(&b, 1000);
    cr_expect_eq(llm_buffer_len(&b), 1000);
    cr_expect_eq(llm_buffer_data(&b)[999], 'x');
    llm_buffer_clear(&b);
}

Test(buffer, reset_keeps_memory_up_to_a_limit) {
    llm_buffer b = {0};
    cr_assert_not_null(llm_buffer_reserve(&b, 1000));
    llm_buffer_reset(&b, 1000);
    cr_expect_eq(b.capacity, 1000);
    llm_buffer_reset(&b, 999);
    cr_expect_eq(b.capacity, 0);
    cr_expect_null(b.bytes);
}

Test(buffer, is_unchanged_when_memory_is_out) {
    llm_buffer b = {0};
    fail_after(0);
    cr_expect_eq(llm_buffer_append(&b, "x", 1), LLM_ENOMEM);
    fail_stop();
    cr_assert_eq(llm_buffer_append(&b, "abc", 3), 0);
    char much[1000] = {0};
    fail_after(0);
    cr_expect_eq(llm_buffer_append(&b, much, sizeof much), LLM_ENOMEM);
    cr_expect(fail_stop());
    cr_expect_null(llm_buffer_reserve(&b, SIZE_MAX - 1));
    cr_expect_eq(llm_buffer_len(&b), 3);
    cr_expect_eq(memcmp(llm_buffer_data(&b), "abc", 3), 0);
    llm_buffer_clear(&b);
}
