/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stands for the C library's start where entry.c is linked without one, which fails as soon as that
 * file needs anything: memset(), the stack protector, errno. The program is never run.
 */
void _start(void);

void _start(void)
{
	for (;;) {
		__builtin_trap();
	}
}
