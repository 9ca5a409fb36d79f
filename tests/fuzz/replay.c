/* Runs a libFuzzer target over the files of its corpus folder, where libFuzzer itself is not linked. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) return 0; /* a folder, or gone */
    static uint8_t bytes[1 << 22];
    size_t len = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    uint8_t *exact = malloc(len ? len : 1); /* so that the sanitizer sees a read past the end */
    for (size_t i = 0; i < len; i++) exact[i] = bytes[i];
    LLVMFuzzerTestOneInput(exact, len);
    free(exact);
    return 1;
}

int main(int argc, char **argv) {
    int count = 0;
    for (int i = 1; i < argc; i++) {
        DIR *folder = opendir(argv[i]);
        if (!folder) continue;
        for (struct dirent *entry; (entry = readdir(folder));) {
            char path[4096];
            snprintf(path, sizeof path, "%s/%s", argv[i], entry->d_name);
            if (entry->d_name[0] != '.') count += replay(path);
        }
        closedir(folder);
    }
    printf("%d inputs replayed\n", count);
    return count == 0;
}
