/* SPDX-License-Identifier: Apache-2.0 */
/* Mutants: test-only builds with one defence switched off, to prove that its test goes red. */
#pragma once

#define MUTANT_TEXT(x) #x

/*
 * True when this file is compiled with -D<macro>; a constant, so the product holds no trace of it.
 * A macro that is not defined stringifies to its own name, a defined one to its value, "1".
 */
#define MUTANT(macro) (MUTANT_TEXT(macro)[0] == '1')
