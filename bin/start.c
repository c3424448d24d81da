/* What runs before the interpreter does: in the installed program's first line it stands where Python stood,
 *
 *     #!/opt/venv/bin/launcher-start /opt/venv/bin/python3
 *
 * Why: Python takes some 10 ms until it runs our first statement.  Until then a TERM ends nothing where we are PID 1,
 * for the kernel drops what PID 1 neither blocks nor handles; and by then Python has set SIGPIPE and SIGXFSZ to be
 * ignored, so nobody can tell any more whether they were before.  Here all signals are blocked by the very first
 * system call, they stay so across execve(2), and Python gets with -Xsignals=MASK,IGNORED what we were given, in hex.
 *
 * Guarantees: arguments (but for the option) and environment go through untouched.  No library, no heap, no data:
 *
 *     cc -Os -static -nostdlib -ffreestanding -s -o launcher-start bin/start.c
 *
 * Called as the kernel does it for a first line: OURSELVES PYTHON SCRIPT [ARG...], it executes
 * PYTHON -ISXsignals=MASK,IGNORED SCRIPT [ARG...], and without IS if the first argument is `run`.
 */

typedef unsigned long set; /* of signals: bit n - 1 is signal n */

#if defined __x86_64__
enum { WRITE = 1, RT_SIGACTION = 13, RT_SIGPROCMASK = 14, EXECVE = 59, EXIT_GROUP = 231 };
__asm__(".globl _start\n"
        "_start: mov %rsp, %rdi\n"
        "        and $-16, %rsp\n"
        "        call start\n");

static long system_call(long number, long a, const void *b, void *c, long d)
{
    register long fourth __asm__("r10") = d;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(fourth)
                     : "rcx", "r11", "memory");
    return result;
}
#elif defined __aarch64__
enum { WRITE = 64, EXIT_GROUP = 94, RT_SIGACTION = 134, RT_SIGPROCMASK = 135, EXECVE = 221 };
__asm__(".globl _start\n"
        "_start: mov x0, sp\n"
        "        bl start\n");

static long system_call(long number, long a, const void *b, void *c, long d)
{
    register long first __asm__("x0") = a;
    register const void *second __asm__("x1") = b;
    register void *third __asm__("x2") = c;
    register long fourth __asm__("x3") = d;
    register long call __asm__("x8") = number;
    __asm__ volatile("svc 0" : "+r"(first) : "r"(second), "r"(third), "r"(fourth), "r"(call) : "memory");
    return first;
}
#else
#error "not written for this machine; without it all works, but for what the head of this file says"
#endif

enum { SIG_BLOCK = 0, SIGNALS = 64, STDERR = 2, ENOENT = 2, NOT_EXECUTABLE = 126, NOT_FOUND = 127 };
/* 32 and 33 are the C library's own: it neither blocks them nor gives them back, so they stay as they were. */
#define ALL (~(3UL << 31))
#define SIG_IGN 1UL

static set ignored(void)
{
    set found = 0;
    for (int signum = 1; signum <= SIGNALS; signum++) {
        unsigned long action[8] = {0}; /* the kernel's begins with the handler, and is no longer than this */
        system_call(RT_SIGACTION, signum, 0, action, sizeof(set));
        if (action[0] == SIG_IGN)
            found |= 1UL << (signum - 1);
    }
    return found;
}

static char *write_hex(char *before, set number)
{
    do
        *--before = "0123456789abcdef"[number & 15];
    while (number >>= 4);
    return before;
}

static char *write_text(char *before, const char *text, long length)
{
    while (length)
        *--before = text[--length];
    return before;
}

static void say(const char *text)
{
    long length = 0;
    while (text[length])
        length++;
    system_call(WRITE, STDERR, text, (void *)length, 0);
}

/* What runs applications needs Python as they know it: to start the other one first would only take time. */
static int runs(const char *command)
{
    return command && command[0] == 'r' && command[1] == 'u' && command[2] == 'n' && !command[3];
}

static long become_python(char **arguments, char **environment, set mask)
{
    char option[64], *text = option + sizeof option;
    *--text = 0;
    text = write_hex(text, ignored());
    *--text = ',';
    text = write_hex(text, mask);
    text = write_text(text, "Xsignals=", 9);
    if (!runs(arguments[3]))
        text = write_text(text, "IS", 2);
    *--text = '-';

    arguments[0] = arguments[1];
    arguments[1] = text;
    return system_call(EXECVE, (long)arguments[0], arguments, environment, 0);
}

/* The kernel's stack: the number of arguments, these, a null pointer, the environment. */
__attribute__((noreturn, used)) void start(long *stack)
{
    set all = ALL, mask = 0;
    system_call(RT_SIGPROCMASK, SIG_BLOCK, &all, &mask, sizeof(set));

    long count = stack[0], error = 0;
    char **arguments = (char **)(stack + 1);
    if (count < 3) {
        say("launcher: error: this is for the first line of the launcher; run that\n");
    } else {
        error = become_python(arguments, arguments + count + 1, mask);
        say("launcher: error: cannot execute ");
        say(arguments[0]);
        say(", which the first line of the launcher names\n");
    }
    for (;;)
        system_call(EXIT_GROUP, error == -ENOENT ? NOT_FOUND : NOT_EXECUTABLE, 0, 0, 0);
}
