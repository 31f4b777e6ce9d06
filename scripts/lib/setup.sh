# shellcheck shell=bash
# Sourced by the scripts beside it: sees to it that what they need is on this machine.
# Silent when nothing is missing; when something cannot be had, says what was tried and what to do, and exits 1.

# A unit or a container may start us without one.
: "${HOME:=$(getent passwd "$(id -u)" | cut -d : -f 6)}"
export HOME

# ip, chroot and their like are not on an ordinary user's path, nor is cargo on that of a bare shell.
PATH=$PATH:/usr/sbin:/sbin:${CARGO_HOME:-$HOME/.cargo}/bin

note() { printf '%s\n' "$*" >&2; }

fail() {
	note "${0##*/}: $1"
	shift
	local line
	for line in "$@"; do note "  $line"; done
	exit 1
}

# need_packages PACKAGE:COMMAND|PACKAGE:/FILE ...
need_packages() {
	local pair missing=() wanted=()
	for pair in "$@"; do
		is_present "${pair#*:}" && continue
		missing+=("${pair%%:*}")
		wanted+=("${pair#*:}")
	done
	[ ${#missing[@]} -gt 0 ] || return 0

	command -v apt-get >/dev/null ||
		fail "missing: ${wanted[*]}" \
			"There is no apt-get here, so these cannot be installed for you." \
			"On Debian they come with: ${missing[*]}. Please install your distribution's counterparts and run this again."
	[ "$(id -u)" -eq 0 ] ||
		fail "missing: ${wanted[*]}" \
			"Installing packages takes root. Please run:" \
			"    sudo apt-get install --no-install-recommends ${missing[*]}"
	note "Installing ${missing[*]} ..."
	packages_install "${missing[@]}"
	for pair in "$@"; do
		is_present "${pair#*:}" ||
			fail "${pair%%:*} is installed, yet ${pair#*:} is not to be found" "Please see to it by hand."
	done
}

is_present() {
	case $1 in
	/*) [ -e "$1" ] ;;
	*) command -v "$1" >/dev/null ;;
	esac
}

packages_install() {
	local command=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300
		install -y --no-install-recommends "$@")
	local output
	output=$("${command[@]}" 2>&1 </dev/null) && return 0
	packages_update
	output=$("${command[@]}" 2>&1 </dev/null) ||
		fail "apt-get install of $* failed, also after apt-get update. It said:" "$output"
}

# Fresh images have no package lists, and old lists name packages that are gone: one update mends both.
packages_updated=
packages_update() {
	[ -z "$packages_updated" ] || return 0
	packages_updated=yes
	local output
	output=$(apt-get -qq -o DPkg::Lock::Timeout=300 update 2>&1 </dev/null) ||
		note "apt-get update failed: $output"
}

machine_architecture() {
	case $(uname -m) in
	x86_64 | aarch64) uname -m ;;
	*) fail "this machine is a $(uname -m); only x86_64 and aarch64 are supported" ;;
	esac
}

# Sets rust_target to the static target of the machine's own architecture and makes sure that it can be built for.
need_rust_target() {
	rust_target=$(machine_architecture)-unknown-linux-musl
	command -v cargo >/dev/null ||
		fail "cargo was not found (looked along \$PATH and in ~/.cargo/bin)" \
			"Rust 1.85 or newer is needed. The usual way to get it is rustup." \
			"If it is installed for another user than $(id -un), run this as that user."
	rust_version_suffices
	rust_target_present && return 0

	command -v rustup >/dev/null ||
		fail "this Rust cannot build for $rust_target, and there is no rustup to add that target" \
			"Please install Rust by rustup, or your distribution's package of that target."
	note "Adding the Rust target $rust_target ..."
	local output
	output=$(rustup target add "$rust_target" 2>&1) ||
		fail "rustup target add $rust_target failed. It said:" "$output"
}

rust_version_suffices() {
	local version major minor
	version=$(cargo --version | cut -d ' ' -f 2)
	IFS=. read -r major minor _ <<<"$version"
	[ "$major" -gt 1 ] || [ "$minor" -ge 85 ] ||
		fail "cargo is $version; 1.85 or newer is needed" "With rustup: rustup update stable"
}

# Asks the compiler, not rustup: distributions package targets without it.
rust_target_present() {
	local folder
	folder=$(rustc --print target-libdir --target "$rust_target" 2>/dev/null) && compgen -G "$folder/libstd-*" >/dev/null
}

# Build scripts and procedural macros are linked against the machine's own C library.
need_linker() {
	need_packages gcc:cc libc6-dev:/usr/include/stdlib.h
}
