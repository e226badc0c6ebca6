/* What a preloaded library tells a host's daemons of the time of day: the machine's, and as many seconds more as a file says.
   Built by clock.py without any headers; the monotonic clock stays as it is. */
long syscall(long number, ...);
int open(const char *path, int flags, ...);
long read(int file, void *to, unsigned long size);
int close(int file);
long strtol(const char *text, char **end, int base);
struct timespec { long sec, nsec; };
struct timeval { long sec, usec; };

static long offset(void) {
    char text[32] = {0};
    int file = open("/run/clock-offset", 02000000);
    if (file < 0) return 0;
    read(file, text, sizeof text - 1);
    close(file);
    return strtol(text, 0, 10);
}

int clock_gettime(int clock, struct timespec *t) {
    int failed = syscall(NUMBER, clock, t);
    if (!failed && (clock == 0 || clock == 5)) t->sec += offset();
    return failed;
}

int gettimeofday(struct timeval *t, void *zone) {
    struct timespec now;
    clock_gettime(0, &now);
    t->sec = now.sec; t->usec = now.nsec / 1000;
    return 0;
}

long time(long *to) {
    struct timespec now;
    clock_gettime(0, &now);
    if (to) *to = now.sec;
    return now.sec;
}
