# SPDX-License-Identifier: Apache-2.0
"""Shared by the functional and the security suites; only the standard library and pytest."""
