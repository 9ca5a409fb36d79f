/* Binding of what Lua's own library lacks: terminals, directories, locks, the number of the
 * process, and the mode of a file that holds a key. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core.h"
#include "terminal.h"

/* isatty(descriptor) -> boolean */
static int system_isatty(lua_State *L) {
    lua_pushboolean(L, isatty((int)luaL_checkinteger(L, 1)));
    return 1;
}

/* columns() -> width and height of the terminal on standard output or error, 80 and 24 where there
 * is none */
static int system_columns(lua_State *L) {
    struct winsize size = {0};
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0) ioctl(STDERR_FILENO, TIOCGWINSZ, &size);
    lua_pushinteger(L, size.ws_col ? size.ws_col : 80);
    lua_pushinteger(L, size.ws_row ? size.ws_row : 24);
    return 2;
}

/* neutralise(text) -> text that a terminal shows and does not obey */
static int system_neutralise(lua_State *L) {
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    char *safe = lua_newuserdatauv(L, len ? 3 * len : 1, 0);
    lua_pushlstring(L, safe, llm_terminal_safe(text, len, safe));
    return 1;
}

/* width(text) -> columns that a terminal shows it in */
static int system_width(lua_State *L) {
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    lua_pushinteger(L, (lua_Integer)llm_terminal_width(text, len));
    return 1;
}

/* mode(path) -> permission bits | nil */
static int system_mode(lua_State *L) {
    struct stat info;
    if (stat(luaL_checkstring(L, 1), &info) != 0) return 0;
    lua_pushinteger(L, info.st_mode & 07777);
    return 1;
}

/* is_link(path) -> whether it is a symbolic link */
static int system_is_link(lua_State *L) {
    struct stat info;
    lua_pushboolean(L, lstat(luaL_checkstring(L, 1), &info) == 0 && S_ISLNK(info.st_mode));
    return 1;
}

/* pid() -> the number of this process */
static int system_pid(lua_State *L) {
    lua_pushinteger(L, getpid());
    return 1;
}

/* nil, message of the last failure with a file */
static int fail_with(lua_State *L, const char *path) {
    const char *reason = strerror(errno);
    lua_pushnil(L);
    lua_pushfstring(L, "%s: %s", path, reason);
    return 2;
}

/* mkdir(path) -> true | nil, message: a directory for its owner alone, unless it is there */
static int system_mkdir(lua_State *L) {
    if (mkdir(luaL_checkstring(L, 1), 0700) != 0 && errno != EEXIST) {
        return fail_with(L, lua_tostring(L, 1));
    }
    lua_pushboolean(L, 1);
    return 1;
}

/* create(path) -> true | nil, message: an empty file that its owner alone may read */
static int system_create(lua_State *L) {
    const char *path = luaL_checkstring(L, 1);
    int descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int rc = descriptor < 0 ? -1 : fchmod(descriptor, 0600);
    const char *reason = rc < 0 ? strerror(errno) : NULL;
    if (descriptor >= 0) close(descriptor);
    if (reason) {
        lua_pushnil(L);
        lua_pushfstring(L, "%s: %s", path, reason);
        return 2;
    }
    lua_pushboolean(L, 1);
    return 1;
}

/* truncate(path, size) -> true | nil, message: cuts a file to so many bytes */
static int system_truncate(lua_State *L) {
    const char *path = luaL_checkstring(L, 1);
    if (truncate(path, (off_t)luaL_checknumber(L, 2)) != 0) return fail_with(L, path);
    lua_pushboolean(L, 1);
    return 1;
}

static const char lock_class[] = "llm.lock";

static int lock_close(lua_State *L) {
    int *descriptor = luaL_checkudata(L, 1, lock_class);
    if (*descriptor >= 0) close(*descriptor);
    *descriptor = -1;
    return 0;
}

/* lock:put(offset, bytes) -> true | nil, message: writes into the locked file */
static int lock_put(lua_State *L) {
    int *descriptor = luaL_checkudata(L, 1, lock_class);
    off_t offset = (off_t)luaL_checknumber(L, 2);
    size_t len;
    const char *bytes = luaL_checklstring(L, 3, &len);
    ssize_t count = pwrite(*descriptor, bytes, len, offset);
    if (count >= 0 && (size_t)count < len) errno = ENOSPC;
    if (count < 0 || (size_t)count < len) return fail_with(L, "the locked file");
    lua_pushboolean(L, 1);
    return 1;
}

/* lock(path) -> lock | nil, message: a file, made where it is missing, that nobody else may lock
 * until lock:close() or the end of this process */
static int system_lock(lua_State *L) {
    const char *path = luaL_checkstring(L, 1);
    int *descriptor = lua_newuserdatauv(L, sizeof *descriptor, 0);
    *descriptor = -1;
    luaL_getmetatable(L, lock_class);
    lua_setmetatable(L, -2);
    *descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (*descriptor < 0 || flock(*descriptor, LOCK_EX | LOCK_NB) != 0) return fail_with(L, path);
    return 1;
}

int llm_lua_system(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"isatty", system_isatty},
        {"columns", system_columns},
        {"neutralise", system_neutralise},
        {"width", system_width},
        {"mode", system_mode},
        {"is_link", system_is_link},
        {"pid", system_pid},
        {"mkdir", system_mkdir},
        {"create", system_create},
        {"truncate", system_truncate},
        {"lock", system_lock},
        {NULL, NULL},
    };
    static const luaL_Reg lock_methods[] = {{"put", lock_put}, {NULL, NULL}};
    llm_lua_class(L, lock_class, lock_methods, lock_close);
    luaL_newlib(L, functions);
    return 1;
}
