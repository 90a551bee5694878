/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of atoll-init, carried inside atoll. */
	.section .rodata.atoll_init_image, "a", @progbits
	.balign 64
	.globl atoll_init_image
	.type atoll_init_image, @object
atoll_init_image:
	.incbin IMAGE
	.globl atoll_init_image_end
	.size atoll_init_image, . - atoll_init_image
atoll_init_image_end:
	.byte 0
	.section .note.GNU-stack, "", @progbits
