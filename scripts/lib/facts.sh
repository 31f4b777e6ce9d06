# shellcheck shell=bash
# Sourced: tells people facts, one line with a tick or a cross each, and counts the crosses.

crosses=0

right() { printf '  ✓ %s\n' "$*"; }

wrong() {
	printf '  ✗ %s\n' "$*"
	crosses=$((crosses + 1))
}

# fact SENTENCE COMMAND...: the sentence is true when the command succeeds.
fact() {
	local sentence=$1
	shift
	if "$@"; then right "$sentence"; else wrong "not so: $sentence"; fi
}

title() { printf '\n%s\n' "$*"; }
