/* Runs one command and says what it cost: measure [-f] OUTPUT command...
 *   prints "wall_ms cpu_ms peak_kB"; the command's stdout goes to the file OUTPUT.
 *   -f: wall is the time until the command's first byte reaches us. {} in its arguments stands
 *       for the port on 127.0.0.1 where we listen; once the byte is there the command is killed.
 * Fails when the command fails, or sends nothing within 20 s. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static double now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static double milliseconds(struct timeval time) {
    return (double)time.tv_sec * 1e3 + (double)time.tv_usec / 1e3;
}

static void give_up(const char *what) {
    perror(what);
    exit(1);
}

static int listen_anywhere(int *port) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(fd, (struct sockaddr *)&address, size) != 0 || listen(fd, 16) != 0) give_up("listen");
    getsockname(fd, (struct sockaddr *)&address, &size);
    *port = ntohs(address.sin_port);
    return fd;
}

/* Each {} in the arguments becomes the port; the new strings live as long as we do. */
static void fill_in_port(char **arguments, int port) {
    for (; *arguments; arguments++) {
        char *place = strstr(*arguments, "{}");
        char *filled = NULL;
        if (!place) continue;
        int before = (int)(place - *arguments);
        if (asprintf(&filled, "%.*s%d%s", before, *arguments, port, place + 2) < 0) give_up("{}");
        *arguments = filled;
    }
}

static bool wait_for_byte(int listener) {
    struct pollfd ready = {.fd = listener, .events = POLLIN};
    char byte;
    if (poll(&ready, 1, 20000) != 1) return false;
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    return recv(fd, &byte, 1, 0) == 1;
}

int main(int argc, char **argv) {
    bool until_first_byte = argc > 1 && strcmp(argv[1], "-f") == 0;
    char **command = argv + (until_first_byte ? 3 : 2);
    if (command >= argv + argc) return 2;
    posix_spawn_file_actions_t files;
    struct rusage usage;
    int port, status, listener = listen_anywhere(&port);
    pid_t child;
    fill_in_port(command, port);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(
        &files, STDOUT_FILENO, command[-1], O_WRONLY | O_CREAT | O_TRUNC, 0644);
    double start_ms = now_ms();
    if (posix_spawnp(&child, command[0], &files, NULL, command, environ) != 0) give_up(command[0]);
    bool seen = until_first_byte && wait_for_byte(listener);
    double wall_ms = now_ms() - start_ms;
    if (until_first_byte) kill(child, SIGKILL);
    if (wait4(child, &status, 0, &usage) != child) give_up("wait");
    if (!until_first_byte) wall_ms = now_ms() - start_ms;
    if (until_first_byte ? !seen : status != 0) return 1;
    printf("%.3f %.3f %ld\n", wall_ms, milliseconds(usage.ru_utime) + milliseconds(usage.ru_stime),
        usage.ru_maxrss);
    return 0;
}
