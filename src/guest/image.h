/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of atoll-init, carried inside atoll (init-image.S). */
#pragma once

extern const unsigned char atoll_init_image[];
extern const unsigned char atoll_init_image_end[];
