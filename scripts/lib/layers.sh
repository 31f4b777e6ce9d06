# shellcheck shell=bash disable=SC2154
# Sourced by scripts/check, which sets $top: calls go downward only (the layers are drawn in src/lib.rs), and unsafe
# stays in its folder.

# layer_may PLACE 'LAYERS': no file of PLACE names another layer of the crate than these.
layer_may() {
	local place=$1 allowed=$2 found
	# The tests of a layer may look further than the layer itself.
	found=$(cd "$top" && git ls-files --cached --others --exclude-standard "src/$place" | grep '\.rs$' |
		grep -v '_tests\.rs$' | while read -r file; do
		sed '/^#\[cfg(test)\]/,$d' "$file" | grep -noE '\b(crate|vnet)::[a-z_]+(::[a-z_]+)?' |
			grep -vE ":(crate|vnet)::($allowed)\b" | sed "s|^|$file:|"
	done) || true
	[ -z "$found" ] || fail "$place may call ${allowed//|/, } and nothing else, but names:" "$found"
}

layers_hold() {
	layer_may model 'model'
	layer_may config 'config|model'
	layer_may plan 'plan|config|model'
	layer_may apply.rs 'plan|model'
	layer_may kernel/sys 'kernel::error|kernel::sys|model'
	layer_may kernel/netlink 'kernel::error|kernel::netlink|kernel::sys|model'
	layer_may kernel/netlink/wire.rs 'nothing'
	layer_may kernel 'kernel|model'
	layer_may app 'app|apply|config|kernel|model|plan'
	layer_may bin 'app|entry'
	layer_may fuzz.rs 'app|config|kernel|model'

	# Paths that the look above would not see.
	local found
	found=$(cd "$top" && grep -rnE 'super::super|use crate::\{|use crate;' --include='*.rs' --exclude='*_tests.rs' src) || true
	[ -z "$found" ] || fail 'name a layer by its whole path, or nobody sees whom it calls:' "$found"
}

unsafe_stays() {
	local found
	found=$(cd "$top" && grep -rnE '\bunsafe\b *(\{|fn|impl|extern)' --include='*.rs' src | grep -v '^src/kernel/sys/') || true
	[ -z "$found" ] || fail 'unsafe belongs into src/kernel/sys, but is in:' "$found"
}

# What ships is MIT, Apache-2.0 or BSD, and so is all that it is made of.
licences_fit() {
	local licences found
	licences=$(cd "$top" && cargo tree --locked --quiet --edges normal,build --prefix none --format '{l} ({p})' | sort -u)
	found=$(grep -vE '\b(MIT|Apache-2\.0|BSD-[23]-Clause)\b' <<<"$licences") || true
	found+=$(grep -E 'GPL' <<<"$licences") || true
	[ -z "$found" ] || fail 'a dependency has a licence that does not fit:' "$found"
}
