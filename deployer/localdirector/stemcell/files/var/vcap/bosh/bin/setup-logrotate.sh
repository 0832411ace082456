#!/bin/sh
# The agent calls this; in a VM of namespaces the host has already done it.
exit 0
