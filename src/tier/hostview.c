/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of the host view. */
#include "tier/hostview.h"

#include <stddef.h>

const char *const hostview_trees[] = {
	"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", NULL,
};

const char *const hostview_etc[] = {
	"/etc/alternatives",
	"/etc/ca-certificates",
	"/etc/crypto-policies",
	"/etc/fonts",
	"/etc/inputrc",
	"/etc/java",
	"/etc/java-8-openjdk",
	"/etc/java-11-openjdk",
	"/etc/java-17-openjdk",
	"/etc/java-21-openjdk",
	"/etc/java-25-openjdk",
	"/etc/ld.so.cache",
	"/etc/localtime",
	"/etc/magic",
	"/etc/magic.mime",
	"/etc/mime.types",
	"/etc/os-release",
	"/etc/pki",
	"/etc/protocols",
	"/etc/services",
	"/etc/ssl/certs",
	"/etc/ssl/openssl.cnf",
	"/etc/terminfo",
	"/etc/timezone",
	NULL,
};
