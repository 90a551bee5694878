/* SPDX-License-Identifier: Apache-2.0 */
/* The smallest payload: a static program that does nothing, well. */
int main(void)
{
	return 0;
}
