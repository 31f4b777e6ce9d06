/*
 * What the programs here need in place of a C library, on x86_64 and aarch64. scripts/bench has the compiler's
 * options.
 *
 * The program is start(), which gets the stack as the kernel left it: the number of arguments, then the arguments, a
 * null, the environment, a null.
 */
#include <asm/unistd.h>

void start(long *stack) __attribute__((noreturn, used));

#if defined(__x86_64__)

__asm__(".globl _start\n"
	"_start:\n"
	"	xor %ebp, %ebp\n"
	"	mov %rsp, %rdi\n"
	"	and $-16, %rsp\n"
	"	call start\n");

static inline long call(long number, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}

#elif defined(__aarch64__)

__asm__(".globl _start\n"
	"_start:\n"
	"	mov x29, #0\n"
	"	mov x30, #0\n"
	"	mov x0, sp\n"
	"	bl start\n");

static inline long call(long number, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = number;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;

	__asm__ volatile("svc #0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "memory");
	return x0;
}

#else
#error "only x86_64 and aarch64 are supported"
#endif

static inline void leave(int status) __attribute__((noreturn));
static inline void leave(int status)
{
	for (;;)
		call(__NR_exit_group, status, 0, 0, 0, 0, 0);
}

static inline void copy(char *to, const char *from, unsigned length)
{
	while (length--)
		*to++ = *from++;
}

/* A decimal number; anything else ends the program. */
static inline unsigned number(const char *text)
{
	unsigned value = 0;

	if (!*text)
		leave(64);
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			leave(64);
		value = value * 10 + (unsigned)(*text - '0');
	}
	return value;
}
