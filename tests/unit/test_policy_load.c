/* SPDX-License-Identifier: Apache-2.0 */
/* Documents that load, and documents that do not: each mistake with its exact place and message. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "policy/load.h"

#define V "version: 1\n"

struct bad_document {
	const char *text;
	const char *error; /* after "p.yaml:" */
};

static const struct bad_document bad_documents[] = {
	{"", "1:1: the document is empty; a policy is a mapping"},
	{"# nothing\n", "2:1: the document is empty; a policy is a mapping"},
	{"--- \n", "2:1: policy: expected a mapping, found a single value"},
	{"[]\n", "1:1: policy: expected a mapping, found a list"},
	{"text\n", "1:1: policy: expected a mapping, found a single value"},
	{V "---\nversion: 1\n", "2:1: a second document is not allowed"},
	{"name: x\n", "1:1: version is missing; add 'version: 1'"},
	{"version: 2\n", "1:10: version 2 is not known; this Atoll reads version 1"},
	{"version: 99999999999999999999999\n",
	 "1:10: version 99999999999999999999999 is not known; this Atoll reads version 1"},
	{"version: '1'\n", "1:10: version: expected a number, not a quoted text"},
	{"version: one\n", "1:10: version: 'one' is no whole number"},
	{"version: -1\n", "1:10: version: '-1' is negative; it must be at least 1"},
	{"version: 01\n", "1:10: version: '01' is no whole number"},
	{"version: 1.0\n", "1:10: version: '1.0' is no whole number"},
	{"version: [1]\n", "1:10: version: expected a single value, found a list"},
	{"version:\n", "1:9: version: the value is missing"},
	{"%YAML 1.1\n---\nversion: 1\n", "1:1: directives (%) are not allowed"},
	{"%TAG ! tag:x,2000:\n---\nversion: 1\n", "1:1: directives (%) are not allowed"},
	{V "nmae: x\n", "2:1: unknown key 'nmae'; did you mean 'name'?"},
	{V "memory: 1GiB\n", "2:1: unknown key 'memory'; did you mean 'execution.limits.memory'?"},
	{V "zzz: 1\n", "2:1: unknown key 'zzz'"},
	{V "filesystem.root: host\n",
	 "2:1: unknown key 'filesystem.root'; write sections as nested mappings"},
	{V "execution: {limits: {memroy: 1GiB}}\n",
	 "2:22: unknown key 'execution.limits.memroy'; did you mean 'execution.limits.memory'?"},
	{V "execution: {memory: 1GiB}\n",
	 "2:13: unknown key 'execution.memory'; did you mean 'execution.limits.memory'?"},
	{V "time: {wal: 1m}\n", "2:8: unknown key 'time.wal'; did you mean 'time.wall'?"},
	{V "network: {alow: []}\n",
	 "2:11: unknown key 'network.alow'; did you mean 'network.allow'?"},
	{V "name: a\nname: b\n", "3:1: duplicate key 'name'; it was first given on line 2"},
	{V "time: {wall: 1m}\ntime: {idle: 1m}\n",
	 "3:1: duplicate key 'time'; it was first given on line 2"},
	{V "data: {env: {A: 1, A: 2}}\n", "2:20: data.env: 'A' is given twice"},
	{V "? [a]\n: b\n", "2:3: a key must be a single text, not a list"},
	{V "? {a: b}\n: c\n", "2:3: a key must be a single text, not a mapping"},
	{V "name: &a x\n", "2:7: anchors (&name) are not allowed"},
	{V "name: *a\n", "2:7: aliases (*name) are not allowed"},
	{V "name: !!str x\n", "2:7: tags (!name) are not allowed"},
	{V "time: &t {wall: 1m}\n", "2:7: anchors (&name) are not allowed"},
	{V "filesystem: {read: !l [/opt]}\n", "2:20: tags (!name) are not allowed"},
	{V "<<: {name: x}\n", "2:1: unknown key '<<'"},
	{V "name: &a x\ntrust: *a\n", "2:7: anchors (&name) are not allowed"},
	{V "name: [x]\n", "2:7: name: expected a single value, found a list"},
	{V "name: {a: b}\n", "2:7: name: expected a single value, found a mapping"},
	{V "name:\n", "2:6: name: the value is missing"},
	{V "name: null\n", "2:7: name: the value is missing"},
	{V "name: ''\n", "2:7: name: '' is no name; write up to 64 letters, digits, '.', '_' and "
			 "'-', a letter or digit first"},
	{V "name: 12\n", "2:7: name: expected a text; put 12 in quotes"},
	{V "name: yes\n", "2:7: name: expected a text; put yes in quotes"},
	{V "name: 1e3\n", "2:7: name: expected a text; put 1e3 in quotes"},
	{V "name: a/b\n", "2:7: name: 'a/b' is no name; write up to 64 letters, digits, '.', '_' "
			  "and '-', a letter or digit first"},
	{V "name: -x\n", "2:7: name: '-x' is no name; write up to 64 letters, digits, '.', '_' and "
			 "'-', a letter or digit first"},
	{V "name: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n",
	 "2:7: name: 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...' is no name; "
	 "write up to 64 letters, digits, '.', '_' and '-', a letter or digit first"},
	{V "trust: lots\n", "2:8: trust: 'lots' is not one of none, low, medium, high or full"},
	{V "trust: 3\n", "2:8: trust: '3' is not one of none, low, medium, high or full"},
	{V "trust: Medium\n", "2:8: trust: 'Medium' is not one of none, low, medium, high or full"},
	{V "tier: wasm\n", "2:7: tier: this version has no wasm tier; use container"},
	{V "tier: vm\n", "2:7: tier: 'vm' is not one of none, process, container or microvm"},
	{V "provenance: me\n", "2:13: provenance: 'me' is not one of reviewed, agent or external"},
	{V "profile: a b\n", "2:10: profile: 'a b' is no name; write up to 64 letters, digits, "
			     "'.', '_' and '-', a letter or digit first"},
	{V "filesystem: host\n", "2:13: filesystem: expected a mapping, found a single value"},
	{V "filesystem: []\n", "2:13: filesystem: expected a mapping, found a list"},
	{V "filesystem: {root: image:debian@sha256:00}\n",
	 "2:20: filesystem.root: this version has no image roots; use host"},
	{V "filesystem: {root: guest}\n", "2:20: filesystem.root: 'guest' is not host"},
	{V "filesystem: {workspace: .}\n",
	 "2:25: filesystem.workspace: expected a mapping, found a single value"},
	{V "filesystem: {workspace: {mode: rw}}\n",
	 "2:32: filesystem.workspace.mode: 'rw' is not one of none, read-only, copy or direct"},
	{V "filesystem: {workspace: {path: ''}}\n",
	 "2:32: filesystem.workspace.path: the text is empty"},
	{V "filesystem: {workspace: {path: [a]}}\n",
	 "2:32: filesystem.workspace.path: expected a single value, found a list"},
	{V "filesystem: {read: /opt}\n",
	 "2:20: filesystem.read: expected a list, found a single value"},
	{V "filesystem: {read: {a: b}}\n",
	 "2:20: filesystem.read: expected a list, found a mapping"},
	{V "filesystem: {read: [[/opt]]}\n",
	 "2:21: filesystem.read: expected a list of texts, found a list"},
	{V "filesystem: {read: [/opt, '']}\n", "2:27: filesystem.read: an element is empty"},
	{V "filesystem: {read: [/opt, null]}\n", "2:27: filesystem.read: the value is missing"},
	{V "filesystem: {deny: '**/.env'}\n",
	 "2:20: filesystem.deny: expected a list, found a single value"},
	{V "filesystem: {deny: [.env, '']}\n", "2:27: filesystem.deny: an element is empty"},
	{V "filesystem: {deny: [.env, ../x]}\n",
	 "2:27: filesystem.deny: '../x' is refused: it has a part '.' or '..'; write the path "
	 "without it"},
	{V "filesystem: {deny: ['a**']}\n",
	 "2:21: filesystem.deny: 'a**' is refused: '**' stands alone between two '/'; in a name "
	 "write one '*'"},
	{V "network: {default: maybe}\n",
	 "2:20: network.default: 'maybe' is not one of none, deny, allow or open"},
	{V "network: {deny: ['example.com:443']}\n",
	 "2:18: network.deny: 'example.com:443': a host name consists of letters, digits, '-' and "
	 "'.'"},
	{V "network: {deny: ['*']}\n",
	 "2:18: network.deny: '*': '*' may only stand as the whole first label"},
	{V "network: {allow: example.com:443}\n",
	 "2:18: network.allow: expected a list, found a single value"},
	{V "network: {allow: ['example.com/ftp']}\n",
	 "2:19: network.allow: 'example.com/ftp': the protocol must be tls, http or tcp"},
	{V "network: {allow: ['example.com,public']}\n",
	 "2:19: network.allow: 'example.com,public': after a comma only 'private' is known"},
	{V "network: {allow: ['example.com,private/tcp']}\n",
	 "2:19: network.allow: 'example.com,private/tcp': after a comma only 'private' is known"},
	{V "network: {allow: [{host: 'a.b:1'}]}\n", "2:26: network.allow.host: 'a.b:1': only the "
						    "host stands here; ports, protocol and private "
						    "are members of their own"},
	{V "network: {allow: [{host: a.b, private: yes}]}\n",
	 "2:40: network.allow.private: expected true or false, found a single value"},
	{V "network: {allow: [{host: a.b, private: 'true'}]}\n",
	 "2:40: network.allow.private: expected true or false, found a single value"},
	{V "network: {allow: [{host: a.b, methods: [GET]}]}\n",
	 "2:31: network.allow.methods: this version does not look into requests, so it cannot hold "
	 "that; leave it out to allow every request to that host"},
	{V "network: {allow: [{host: a.b, credential: x}]}\n",
	 "2:31: network.allow.credential: this version does not look into requests, so it cannot "
	 "hold that; leave it out to allow every request to that host"},
	{V "network: {allow: [{ports: [1]}]}\n", "2:19: network.allow: a rule needs a host"},
	{V "network: {allow: ['example.com:0']}\n",
	 "2:19: network.allow: 'example.com:0': the port must be a number from 1 to 65535"},
	{V "network: {allow: ['example.com:65536']}\n",
	 "2:19: network.allow: 'example.com:65536': the port must be a number from 1 to 65535"},
	{V "network: {allow: ['example.com:080']}\n",
	 "2:19: network.allow: 'example.com:080': the port must be a number from 1 to 65535"},
	{V "network: {allow: ['example.com:http']}\n",
	 "2:19: network.allow: 'example.com:http': the port must be a number from 1 to 65535"},
	{V "network: {allow: ['example.com:']}\n",
	 "2:19: network.allow: 'example.com:': the port must be a number from 1 to 65535"},
	{V "network: {allow: [':443']}\n", "2:19: network.allow: ':443': the host name is empty"},
	{V "network: {allow: ['a..b:1']}\n",
	 "2:19: network.allow: 'a..b:1': a label of the host name is empty"},
	{V "network: {allow: ['-a.b:1']}\n",
	 "2:19: network.allow: '-a.b:1': a label of the host name begins or ends with a hyphen"},
	{V "network: {allow: ['a-.b:1']}\n",
	 "2:19: network.allow: 'a-.b:1': a label of the host name begins or ends with a hyphen"},
	{V "network: {allow: ['a_b.c:1']}\n",
	 "2:19: network.allow: 'a_b.c:1': a host name consists of letters, digits, '-' and '.'"},
	{V "network: {allow: ['*a:1']}\n",
	 "2:19: network.allow: '*a:1': '*' may only stand as the whole first label"},
	{V "network: {allow: ['*.com:1']}\n",
	 "2:19: network.allow: '*.com:1': a wildcard needs at least two labels after '*.'"},
	{V "network: {allow: ['a.*.b:1']}\n",
	 "2:19: network.allow: 'a.*.b:1': '*' may only stand as the whole first label"},
	{V "network: {allow: ['*a.b:1']}\n",
	 "2:19: network.allow: '*a.b:1': '*' may only stand as the whole first label"},
	{V "network: {allow: ['b\303\274_cher.de:1']}\n",
	 "2:19: network.allow: 'b\303\274_cher.de:1': a host name consists of letters, digits, "
	 "'-' and '.'"},
	{V "network: {allow: ['127.1:1']}\n", "2:19: network.allow: '127.1:1': this is neither a "
					      "host name nor an address in its usual form"},
	{V "network: {allow: ['0x7f.0.0.1:1']}\n",
	 "2:19: network.allow: '0x7f.0.0.1:1': this is neither a host name nor an address in its "
	 "usual form"},
	{V "network: {allow: ['2130706433:1']}\n",
	 "2:19: network.allow: '2130706433:1': this is neither a host name nor an address in its "
	 "usual form"},
	{V "network: {allow: ['127.0.0.1.:1']}\n",
	 "2:19: network.allow: '127.0.0.1.:1': this is neither a host name nor an address in its "
	 "usual form"},
	{V "network: {allow: ['[::1:1']}\n",
	 "2:19: network.allow: '[::1:1': an IPv6 address stands in brackets"},
	{V "network: {allow: ['[zz]:1']}\n",
	 "2:19: network.allow: '[zz]:1': this is no IPv6 address"},
	{V "network: {allow: ['::1:1']}\n",
	 "2:19: network.allow: '::1:1': a host name consists of letters, digits, '-' and '.'"},
	{V "network: {allow: ['ab--c.de:1']}\n",
	 "2:19: network.allow: 'ab--c.de:1': only xn-- may stand before '--' in a label"},
	{V "network: {allow: "
	   "['xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx.de:1']}\n",
	 "2:19: network.allow: 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...': "
	 "a label of the host name is longer than 63 characters"},
	{V "network: {allow: "
	   "['a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a."
	   "a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a."
	   "a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.de:"
	   "1']}\n",
	 "2:19: network.allow: 'a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a....': "
	 "the host name is longer than 253 characters"},
	{V "network: {allow: ['user@h:1']}\n",
	 "2:19: network.allow: 'user@h:1': a host name consists of letters, digits, '-' and '.'"},
	{V "network: {allow: ['h/x:1']}\n",
	 "2:19: network.allow: 'h/x:1': the protocol must be tls, http or tcp"},
	{V "network: {allow: ['a b:1']}\n",
	 "2:19: network.allow: 'a b:1': a host name consists of letters, digits, '-' and '.'"},
	{V "network: {allow: ['1.2.3.4.5:1']}\n",
	 "2:19: network.allow: '1.2.3.4.5:1': this is neither a host name nor an address in its "
	 "usual form"},
	{V "network: {allow: ['0177.0.0.1:1']}\n",
	 "2:19: network.allow: '0177.0.0.1:1': this is neither a host name nor an address in its "
	 "usual form"},
	{V "network: {allow: [{host: a.b, ports: []}]}\n",
	 "2:38: network.allow.ports: the list is empty"},
	{V "network: {allow: [{host: a.b, ports: 1}]}\n",
	 "2:38: network.allow.ports: expected a list, found a single value"},
	{V "network: {allow: [{host: a.b, ports: [x]}]}\n",
	 "2:39: network.allow: 'a.b:x': the port must be a number from 1 to 65535"},
	{V "network: {allow: [{host: a.b, ports: ['1']}]}\n",
	 "2:39: network.allow.ports: expected numbers without quotes, found a single value"},
	{V "network: {allow: [{host: a.b, host: c.d, ports: [1]}]}\n",
	 "2:31: duplicate key 'network.allow.host'"},
	{V "network: {allow: [{host: a.b, ports: [1], metods: [GET]}]}\n",
	 "2:43: unknown key 'network.allow.metods'"},
	{V "network: {allow: [{host: [a], ports: [1]}]}\n",
	 "2:26: network.allow.host: expected a text, found a list"},
	{V "network: {allow: [[a]]}\n",
	 "2:19: network.allow: expected a list of texts, found a list"},
	{V "network: {allow: [{host: a_b, ports: [1]}]}\n",
	 "2:39: network.allow: 'a_b:1': a host name consists of letters, digits, '-' and '.'"},
	{V "execution: {allow: []}\n", "2:20: execution.allow: the list is empty, so nothing would "
				       "be allowed; leave the key out or list what is needed"},
	{V "execution: {allow: python3}\n",
	 "2:20: execution.allow: expected a list, found a single value"},
	{V "execution: {allow: [/usr/*/x]}\n", "2:21: execution.allow: '/usr/*/x' has a pattern in "
					       "a directory; only the last part may be a pattern"},
	{V "execution: {allow: [{a: b}]}\n",
	 "2:21: execution.allow: expected a list of texts, found a mapping"},
	{V "execution: {denials: stop}\n",
	 "2:22: execution.denials: 'stop' is not one of end or record"},
	{V "execution: {syscalls: all}\n",
	 "2:23: execution.syscalls: 'all' is not one of file, strict, default or nested"},
	{V "execution: {limits: 2GiB}\n",
	 "2:21: execution.limits: expected a mapping, found a single value"},
	{V "execution: {limits: {mechanism: none}}\n",
	 "2:33: execution.limits.mechanism: 'none' is not one of group or any"},
	{V "execution: {limits: {memory: 12XB}}\n",
	 "2:30: execution.limits.memory: '12XB' is no size; write bytes, or a unit as in 512MiB or "
	 "2GB"},
	{V "execution: {limits: {memory: 2G}}\n", "2:30: execution.limits.memory: '2G' is no size; "
						  "write bytes, or a unit as in 512MiB or 2GB"},
	{V "execution: {limits: {memory: 1.5GiB}}\n",
	 "2:30: execution.limits.memory: '1.5GiB' is no size; write bytes, or a unit as in 512MiB "
	 "or 2GB"},
	{V "execution: {limits: {memory: -1}}\n",
	 "2:30: execution.limits.memory: '-1' is negative; it must be at least 8MiB"},
	{V "execution: {limits: {memory: -1GiB}}\n",
	 "2:30: execution.limits.memory: '-1GiB' is negative; it must be at least 8MiB"},
	{V "execution: {limits: {memory: 0}}\n",
	 "2:30: execution.limits.memory: '0' is too small; it must be at least 8MiB"},
	{V "execution: {limits: {memory: 1KiB}}\n",
	 "2:30: execution.limits.memory: '1KiB' is too small; it must be at least 8MiB"},
	{V "execution: {limits: {memory: 99999999999999999999}}\n",
	 "2:30: execution.limits.memory: '99999999999999999999' is too large; it may be at most "
	 "1024TiB"},
	{V "execution: {limits: {memory: 16777216TiB}}\n",
	 "2:30: execution.limits.memory: '16777216TiB' is too large; it may be at most 1024TiB"},
	{V "execution: {limits: {memory: 2048TiB}}\n",
	 "2:30: execution.limits.memory: '2048TiB' is too large; it may be at most 1024TiB"},
	{V "execution: {limits: {memory: [1]}}\n",
	 "2:30: execution.limits.memory: expected a single value, found a list"},
	{V "execution: {limits: {memory: GiB}}\n",
	 "2:30: execution.limits.memory: 'GiB' is no size; write bytes, or a unit as in 512MiB or "
	 "2GB"},
	{V "execution: {limits: {memory: ''}}\n", "2:30: execution.limits.memory: '' is no size; "
						  "write bytes, or a unit as in 512MiB or 2GB"},
	{V "execution: {limits: {memory: 1 GiB}}\n",
	 "2:30: execution.limits.memory: '1 GiB' is no size; write bytes, or a unit as in 512MiB "
	 "or 2GB"},
	{V "execution: {limits: {memory: 0x10}}\n",
	 "2:30: execution.limits.memory: '0x10' is no size; write bytes, or a unit as in 512MiB or "
	 "2GB"},
	{V "execution: {limits: {memory: 1gib}}\n",
	 "2:30: execution.limits.memory: '1gib' is no size; write bytes, or a unit as in 512MiB or "
	 "2GB"},
	{V "execution: {limits: {cpus: 0}}\n",
	 "2:28: execution.limits.cpus: '0' is too small; it must be at least 0.01"},
	{V "execution: {limits: {cpus: -1}}\n",
	 "2:28: execution.limits.cpus: '-1' is negative; it must be at least 0.01"},
	{V "execution: {limits: {cpus: 0.001}}\n",
	 "2:28: execution.limits.cpus: '0.001' is too small; it must be at least 0.01"},
	{V "execution: {limits: {cpus: '2'}}\n",
	 "2:28: execution.limits.cpus: expected a number, not a quoted text"},
	{V "execution: {limits: {cpus: 1.2345}}\n",
	 "2:28: execution.limits.cpus: '1.2345' is no number of CPUs; write for example 2 or 0.5"},
	{V "execution: {limits: {cpus: 5000}}\n",
	 "2:28: execution.limits.cpus: '5000' is too large; it may be at most 4096"},
	{V "execution: {limits: {cpus: two}}\n",
	 "2:28: execution.limits.cpus: 'two' is no number of CPUs; write for example 2 or 0.5"},
	{V "execution: {limits: {cpus: .5}}\n",
	 "2:28: execution.limits.cpus: '.5' is no number of CPUs; write for example 2 or 0.5"},
	{V "execution: {limits: {cpus: 1.}}\n",
	 "2:28: execution.limits.cpus: '1.' is no number of CPUs; write for example 2 or 0.5"},
	{V "execution: {limits: {processes: 0}}\n",
	 "2:33: execution.limits.processes: '0' is too small; it must be at least 1"},
	{V "execution: {limits: {processes: 1.5}}\n",
	 "2:33: execution.limits.processes: '1.5' is no whole number"},
	{V "execution: {limits: {processes: 1k}}\n",
	 "2:33: execution.limits.processes: '1k' is no whole number"},
	{V "execution: {limits: {processes: 5000000}}\n",
	 "2:33: execution.limits.processes: '5000000' is too large; it may be at most 4194304"},
	{V "execution: {limits: {processes: '64'}}\n",
	 "2:33: execution.limits.processes: expected a number, not a quoted text"},
	{V "execution: {limits: {open_files: 3}}\n",
	 "2:34: execution.limits.open_files: '3' is too small; it must be at least 16"},
	{V "execution: {limits: {starts: 0}}\n",
	 "2:30: execution.limits.starts: '0' is too small; it must be at least 1"},
	{V "execution: {limits: {io: 1MiB}}\n", "2:26: execution.limits.io: '1MiB' is no rate; "
						"write a size for each second as in 20MiB/s"},
	{V "execution: {limits: {io: 1000/s}}\n",
	 "2:26: execution.limits.io: '1000/s' is too small; it must be at least 4KiB/s"},
	{V "execution: {limits: {io: 2000TiB/s}}\n",
	 "2:26: execution.limits.io: '2000TiB/s' is too large; it may be at most 1024TiB/s"},
	{V "execution: {limits: {io: -1/s}}\n",
	 "2:26: execution.limits.io: '-1/s' is negative; it must be at least 4KiB/s"},
	{V "execution: {limits: {output: 0}}\n",
	 "2:30: execution.limits.output: '0' is too small; it must be at least 1B"},
	{V "execution: {limits: {scratch: 1B}}\n",
	 "2:31: execution.limits.scratch: '1B' is too small; it must be at least 64KiB"},
	{V "time: {wall: 10}\n",
	 "2:14: time.wall: '10' is no duration; write a unit as in 500ms, 10m or 1h30m"},
	{V "time: {wall: 10 m}\n",
	 "2:14: time.wall: '10 m' is no duration; write a unit as in 500ms, 10m or 1h30m"},
	{V "time: {wall: 0s}\n", "2:14: time.wall: '0s' is too small; it must be at least 1ms"},
	{V "time: {wall: 0}\n",
	 "2:14: time.wall: '0' is no duration; write a unit as in 500ms, 10m or 1h30m"},
	{V "time: {wall: -5m}\n", "2:14: time.wall: '-5m' is negative; it must be at least 1ms"},
	{V "time: {wall: 1m1h}\n",
	 "2:14: time.wall: '1m1h' is no duration; write a unit as in 500ms, 10m or 1h30m"},
	{V "time: {wall: 1h1h}\n",
	 "2:14: time.wall: '1h1h' is no duration; write a unit as in 500ms, 10m or 1h30m"},
	{V "time: {wall: 5x}\n",
	 "2:14: time.wall: '5x' is no duration; write a unit as in 500ms, 10m or 1h30m"},
	{V "time: {wall: 1000000000000000d}\n",
	 "2:14: time.wall: '1000000000000000d' is too large; it may be at most 365d"},
	{V "time: {wall: 400d}\n", "2:14: time.wall: '400d' is too large; it may be at most 365d"},
	{V "time: {wall: ms}\n",
	 "2:14: time.wall: 'ms' is no duration; write a unit as in 500ms, 10m or 1h30m"},
	{V "time: {wall: ''}\n",
	 "2:14: time.wall: '' is no duration; write a unit as in 500ms, 10m or 1h30m"},
	{V "time: {wall: 1.5h}\n",
	 "2:14: time.wall: '1.5h' is no duration; write a unit as in 500ms, 10m or 1h30m"},
	{V "time: {wall: 99999999999999999999s}\n",
	 "2:14: time.wall: '99999999999999999999s' is too large; it may be at most 365d"},
	{V "data: {env: [A=1]}\n", "2:13: data.env: expected a mapping of variables, found a list"},
	{V "data: {env: {1A: x}}\n", "2:14: data.env: '1A' is no name of a variable; write "
				     "letters, digits and '_', no digit first"},
	{V "data: {env: {A-B: x}}\n", "2:14: data.env: 'A-B' is no name of a variable; write "
				      "letters, digits and '_', no digit first"},
	{V "data: {env: {A: }}\n", "2:17: data.env: the value is missing"},
	{V "data: {env: {A: [x]}}\n",
	 "2:17: data.env: expected a value or {inherit: true}, found a list"},
	{V "data: {env: {A: {inherit: false}}}\n",
	 "2:14: data.env: write 'A: value' or 'A: {inherit: true}'"},
	{V "data: {env: {A: {inherit: 'true'}}}\n",
	 "2:14: data.env: write 'A: value' or 'A: {inherit: true}'"},
	{V "data: {env: {A: {}}}\n", "2:14: data.env: write 'A: value' or 'A: {inherit: true}'"},
	{V "data: {env: {A: {inherit: true, x: y}}}\n",
	 "2:14: data.env: write 'A: value' or 'A: {inherit: true}'"},
	{V "data: {env: {'': x}}\n", "2:14: data.env: '' is no name of a variable; write letters, "
				     "digits and '_', no digit first"},
	{V "data: {env: {A: \"a\\nb\"}}\n",
	 "2:14: data.env: the text contains a control character"},
	{V "data: {env: {A=B: x}}\n", "2:14: data.env: 'A=B' is no name of a variable; write "
				      "letters, digits and '_', no digit first"},
	{V "governance: {owner: }\n", "2:21: governance.owner: the value is missing"},
	{V "governance: {owner: ''}\n", "2:21: governance.owner: the text is empty"},
	{V "governance: {account: a b}\n",
	 "2:23: governance.account: 'a b' is no name; write up to 64 letters, digits, '.', '_' and "
	 "'-', a letter or digit first"},
	{V "governance: {purpose: 12}\n",
	 "2:23: governance.purpose: expected a text; put 12 in quotes"},
	{V "governance: {ownr: me}\n",
	 "2:14: unknown key 'governance.ownr'; did you mean 'governance.owner'?"},
	{V "name: \"unclosed\n", "3:1: not valid YAML: found unexpected end of stream"},
	{V "\tname: x\n", "2:1: not valid YAML: found a tab character that violates indentation"},
	{V "name: x: y\n", "2:8: not valid YAML: mapping values are not allowed in this context"},
	{V "a: [1, 2\n", "2:1: unknown key 'a'"},
	{V "}\n", "2:1: not valid YAML: did not find expected key"},
	{V "name: @x\n", "2:7: not valid YAML: found character that cannot start any token"},
	{V "name: \"\\u202e\"\n", "2:7: name: the text contains a control character"},
	{V "\"\\u202e\": x\n", "2:1: key: the text contains a control character"},
	{V "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"
	   "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"
	   "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"
	   "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk: x\n",
	 "2:1: unknown key 'kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk...'"},
};

static void test_bad_documents(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad_documents); i++) {
		struct policy p;
		struct err e = {};
		const char *text = bad_documents[i].text;
		int r = policy_load("p.yaml", LAYER_FILE, text, strlen(text), &p, &e);

		if (r != -EINVAL || e.kind != ERR_POLICY || strncmp(e.msg, "p.yaml:", 7) != 0 ||
		    strcmp(e.msg + 7, bad_documents[i].error) != 0) {
			fail_msg("case %zu\n%s\nexpected p.yaml:%s\ngot      %s", i, text,
				 bad_documents[i].error, r < 0 ? e.msg : "no error");
		}
		policy_done(&p);
	}
}

/* Loads `text` and gives the policy, failing the test on any error. */
static struct policy loaded(const char *text)
{
	struct policy p;
	struct err e = {};

	if (policy_load("p.yaml", LAYER_FILE, text, strlen(text), &p, &e) < 0) {
		fail_msg("%s\n%s", text, e.msg);
	}
	return p;
}

static void test_everything(void **state)
{
	struct policy p =
		loaded("version: 1\nname: refactor-agent\nprofile: dev-assistant\ntrust: medium\n"
		       "provenance: agent\ntier: container\n"
		       "filesystem:\n  root: host\n  workspace: {path: src, mode: read-only}\n"
		       "  read: [~/.gitconfig, /opt/data]\n"
		       "network:\n  default: deny\n  allow:\n  - Packages.Example.COM.:443\n"
		       "  - {ports: [80, 443], host: '*.example.org'}\n"
		       "execution:\n  allow: [python3, /usr/bin/*]\n  syscalls: strict\n"
		       "  denials: end\n"
		       "  limits: {memory: 2GiB, cpus: 0.5, processes: 256, open_files: 1024,\n"
		       "    file_size: 100MB, scratch: 1048576, output: 10kB, starts: 100,\n"
		       "    io: 20MiB/s,\n"
		       "    mechanism: group}\n"
		       "data: {env: {LANG: C.UTF-8, PORT: 8080, HTTP_PROXY: {inherit: true}}}\n"
		       "time: {wall: 1h30m, idle: 500ms, cpu: 10m}\n"
		       "governance: {owner: 'A. Person', account: team-a, purpose: \"Try it\"}\n");
	const struct value *v = p.v;

	(void)state;
	assert_string_equal(v[KEY_NAME].text, "refactor-agent");
	assert_string_equal(v[KEY_PROFILE].text, "dev-assistant");
	assert_int_equal(v[KEY_TRUST].num, 2);
	assert_int_equal(v[KEY_TIER].num, 2);
	assert_string_equal(v[KEY_WORKSPACE_PATH].text, "src");
	assert_int_equal(v[KEY_WORKSPACE_MODE].num, 1);
	assert_int_equal(v[KEY_READ].n_items, 2);
	assert_string_equal(v[KEY_READ].items[0].text, "~/.gitconfig");
	assert_int_equal(v[KEY_NETWORK_ALLOW].n_items, 3);
	assert_string_equal(v[KEY_NETWORK_ALLOW].items[0].text, "packages.example.com:443");
	assert_string_equal(v[KEY_NETWORK_ALLOW].items[1].text, "*.example.org:80");
	assert_string_equal(v[KEY_NETWORK_ALLOW].items[2].text, "*.example.org:443");
	assert_int_equal(v[KEY_EXEC_ALLOW].n_items, 2);
	assert_int_equal(v[KEY_IO].num, 20 << 20);
	assert_int_equal(v[KEY_DENIALS].num, 0);
	assert_int_equal(v[KEY_MEMORY].num, 2147483648);
	assert_int_equal(v[KEY_CPUS].num, 500);
	assert_int_equal(v[KEY_FILE_SIZE].num, 100000000);
	assert_int_equal(v[KEY_SCRATCH].num, 1048576);
	assert_int_equal(v[KEY_OUTPUT].num, 10000);
	assert_int_equal(v[KEY_ENV].n_items, 3);
	assert_string_equal(v[KEY_ENV].items[1].text, "8080");
	assert_null(v[KEY_ENV].items[2].text);
	assert_int_equal(v[KEY_WALL].num, 5400000000000);
	assert_int_equal(v[KEY_IDLE].num, 500000000);
	assert_string_equal(v[KEY_OWNER].text, "A. Person");
	assert_int_equal(v[KEY_MEMORY].at.line, 20);
	assert_int_equal(v[KEY_MEMORY].at.column, 20);
	policy_done(&p);
}

static void test_empty_lists(void **state)
{
	struct policy p = loaded(V "filesystem: {read: []}\nnetwork: {allow: []}\n"
				   "data: {env: {}}\n");

	(void)state;
	assert_true(p.v[KEY_READ].set);
	assert_int_equal(p.v[KEY_READ].n_items, 0);
	assert_true(p.v[KEY_NETWORK_ALLOW].set);
	assert_true(p.v[KEY_ENV].set);
	assert_false(p.v[KEY_EXEC_ALLOW].set);
	policy_done(&p);
}

/* Sizes that need a built document: too long, too many, too deep, too large. */
static void expect_built(struct buf *b, const char *error)
{
	struct policy p;
	struct err e = {};

	assert_false(b->failed);
	assert_int_equal(policy_load("p.yaml", LAYER_FILE, buf_str(b), b->len, &p, &e), -EINVAL);
	assert_string_equal(e.msg, error);
	policy_done(&p);
}

static void test_bounds(void **state)
{
	_cleanup_buf_ struct buf b = {};

	(void)state;
	buf_init(&b, 4 * 1024 * 1024);
	(void)buf_adds(&b, V "filesystem:\n  read:\n");
	for (size_t i = 0; i <= POLICY_ITEMS_MAX; i++) {
		(void)buf_addf(&b, "  - /opt/%zu\n", i);
	}
	expect_built(&b, "p.yaml:260:5: filesystem.read: more than 256 elements");

	buf_clear(&b);
	(void)buf_adds(&b, V "data:\n  env:\n");
	for (size_t i = 0; i <= POLICY_ITEMS_MAX; i++) {
		(void)buf_addf(&b, "    V%zu: x\n", i);
	}
	expect_built(&b, "p.yaml:260:5: data.env: more than 256 variables");

	buf_clear(&b);
	(void)buf_adds(&b, V "governance: {purpose: ");
	for (size_t i = 0; i <= POLICY_TEXT_MAX; i++) {
		(void)buf_addc(&b, 'x');
	}
	(void)buf_adds(&b, "}\n");
	expect_built(&b, "p.yaml:2:23: governance.purpose: the text is longer than 4095 bytes");

	buf_clear(&b);
	for (size_t i = 0; i < 100000; i++) {
		(void)buf_addc(&b, '[');
	}
	expect_built(&b, "p.yaml:1:1: policy: expected a mapping, found a list");

	buf_clear(&b);
	(void)buf_adds(&b, V "#");
	while (b.len <= POLICY_DOCUMENT_MAX) {
		(void)buf_addc(&b, 'x');
	}
	expect_built(&b, "p.yaml:1:1: the document is larger than 1 MiB");
}

static void test_raw_bytes(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		const char *error;
	} cases[] = {
		{"version: 1\nname: a\0b\n", 21,
		 "p.yaml:2:8: not valid YAML: control characters are not allowed"},
		{"version: 1\nname: \"a\\0b\"\n", 24,
		 "p.yaml:2:7: name: the text contains a NUL character"},
		{"version: 1\nname: \"a\\eb\"\n", 24,
		 "p.yaml:2:7: name: the text contains a control character"},
		{"version: 1\nname: \xc3\x28\n", 20,
		 "p.yaml:2:8: not valid YAML: invalid trailing UTF-8 octet"},
		{"version: 1\n\"na\\0me\": x\n", 23,
		 "p.yaml:2:1: key: the text contains a NUL character"},
		{"\xff\xfev\0", 4, "p.yaml:1:1: not valid YAML: invalid leading UTF-8 octet"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct policy p;
		struct err e = {};

		assert_int_equal(
			policy_load("p.yaml", LAYER_FILE, cases[i].bytes, cases[i].len, &p, &e),
			-EINVAL);
		assert_string_equal(e.msg, cases[i].error);
		policy_done(&p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad_documents), cmocka_unit_test(test_everything),
		cmocka_unit_test(test_empty_lists),   cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_raw_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
