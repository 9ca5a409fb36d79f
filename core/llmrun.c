/* llmrun: the command. Opens a Lua state, hands the arguments to llm.cli, turns signals into an
 * error that unwinds the script, so that what is in flight is cancelled before the process ends. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "llmrun.h"
#include "pool.h"

int luaopen_cjson(lua_State *L); /* Debian's lua-cjson, linked in: scripts may require it */
int luaopen_cjson_safe(lua_State *L);

enum { FIRST_GC = 1024 }; /* KiB that are in use before the first collection */
enum { GC_PAUSE = 200 };  /* percent of the live heap before the next collection; little lives */

/* A standard descriptor that the caller closed must not become a socket of ours, or what a script
 * prints goes to a server. What takes its place cannot be used in its direction. */
static void occupy_standard_descriptors(void) {
    for (int fd = 0; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0) open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
    }
}

static lua_State *main_state;
static volatile sig_atomic_t caught; /* the first signal */
static volatile sig_atomic_t held;   /* Ctrl-C ends what waits, and not the script */

static void interrupt(lua_State *L, lua_Debug *ar) {
    (void)ar;
    lua_sethook(L, NULL, 0, 0);
    luaL_error(L, "interrupted");
}

/* The first signal interrupts the script at its next instruction; the second ends the process.
 * Where Ctrl-C is held, the system call that it meets returns, and whoever called it looks. */
static void on_signal(int number) {
    if (held && number == SIGINT && !caught) {
        caught = number;
        return;
    }
    struct sigaction standard = {.sa_handler = SIG_DFL};
    sigaction(number, &standard, NULL);
    if (!caught) caught = number;
    lua_sethook(main_state, interrupt, LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT, 1);
}

static void catch_signals(lua_State *L) {
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
    main_state = L;
    struct sigaction action = {.sa_handler = on_signal};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct sigaction before;
        sigaction(numbers[i], NULL, &before);
        /* nohup and shells in scripts ignore some: leave that so, but a closed pipe must end us. */
        if (before.sa_handler == SIG_IGN && numbers[i] != SIGPIPE) continue;
        sigaction(numbers[i], &action, NULL);
    }
    signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is a failed write */
}

/* signalled([hold]) -> the first caught signal | nil: llm.cli stays silent about those errors. With
 * true Ctrl-C is held from now on, and one that came is forgotten. */
static int signalled(lua_State *L) {
    int number = caught;
    if (lua_toboolean(L, 1)) {
        held = 1;
        if (number == SIGINT) caught = 0;
    }
    if (!number) return 0;
    lua_pushinteger(L, number);
    return 1;
}

static int run(lua_State *L) {
    int argc = (int)lua_tointeger(L, 1);
    char **argv = lua_touserdata(L, 2);
    luaL_openlibs(L);
    llm_open(L);
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "preload");
    lua_pushcfunction(L, luaopen_cjson);
    lua_setfield(L, -2, "cjson");
    lua_pushcfunction(L, luaopen_cjson_safe);
    lua_setfield(L, -2, "cjson.safe");
    lua_getglobal(L, "require");
    lua_pushliteral(L, "llm.cli");
    lua_call(L, 1, 1);
    lua_createtable(L, argc, 0);
    for (int i = 0; i < argc; i++) {
        lua_pushstring(L, argv[i]);
        lua_rawseti(L, -2, i);
    }
    lua_pushcfunction(L, signalled);
    lua_call(L, 2, 1);
    return 1;
}

/* What is still buffered must reach the output, or the caller must hear that it did not. */
static int flush_output(int status) {
    if (fflush(stdout) == 0 && !ferror(stdout)) return status;
    if (errno == EPIPE || caught == SIGPIPE) return 128 + SIGPIPE;
    if (status) return status; /* something was said already */
    fprintf(stderr, "llmrun: cannot write the output: %s\n", strerror(errno));
    return 1;
}

static int panic(lua_State *L) {
    const char *text = lua_tostring(L, -1);
    fprintf(stderr, "llmrun: %s\n", text ? text : "error outside of a protected call");
    return 0; /* Lua aborts */
}

int main(int argc, char **argv) {
    occupy_standard_descriptors();
    llm_pool *pool = llm_pool_new();
    lua_State *L = pool ? lua_newstate(llm_pool_alloc, pool) : NULL;
    if (!L) return fputs("llmrun: out of memory\n", stderr), 1;
    lua_atpanic(L, panic);
    catch_signals(L);
    lua_gc(L, LUA_GCINC, GC_PAUSE, 0, 0);
    lua_gc(L, LUA_GCSTEP, -FIRST_GC); /* a step back */
    lua_pushcfunction(L, run);
    lua_pushinteger(L, argc);
    lua_pushlightuserdata(L, argv);
    int status = 1;
    if (lua_pcall(L, 2, 1, 0) == LUA_OK) {
        status = (int)lua_tointeger(L, -1);
    } else if (!caught) {
        const char *text = lua_tostring(L, -1);
        fprintf(stderr, "llmrun: %s\n", text ? text : "unknown error");
    }
    status = flush_output(caught ? 128 + caught : status);
    lua_close(L);
    llm_pool_free(pool);
    return status;
}
