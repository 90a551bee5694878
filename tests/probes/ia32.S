/* SPDX-License-Identifier: Apache-2.0 */
/* A whole 32-bit program: writes a line and exits with 42, both by the 32-bit entry. */
	.text
	.globl _start
_start:
	movl $4, %eax		/* write */
	movl $1, %ebx
	movl $text, %ecx
	movl $(end - text), %edx
	int $0x80
	movl $1, %eax		/* exit */
	movl $42, %ebx
	int $0x80
	ud2
	.section .rodata
text:
	.ascii "{\"probe\": \"ia32\", \"errno\": \"OK\"}\n"
end:
	.section .note.GNU-stack, "", @progbits
