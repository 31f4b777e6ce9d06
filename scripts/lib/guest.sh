# shellcheck shell=bash
# Sourced after setup.sh: real guests, booted by QEMU without KVM from Debian's cloud kernel and busybox.
#
#   guest_prepare              exports GUEST_KERNEL, GUEST_INITRD and GUEST_BUSYBOX, fetching them once
#   guest_start NAME KERNEL_ARGUMENTS QEMU_ARGUMENT...
#   guest_wait WORD NAME...    until each has printed "verdict NAME WORD"
#   guest_tell NAME LINE       to its console
#   guest_saw NAME FACT        whether it has printed "verdict NAME FACT"
#   guest_told NAME WORDS      what it has printed after "verdict NAME WORDS "
#   guest_ended NAME           until it is gone
#   guest_stop_all             for a trap
#
# guest_folder is the caller's to set; it gets a console (NAME.console) and QEMU's and the hook's words (NAME.errors).

guest_folder=
guest_init=$(dirname "${BASH_SOURCE[0]}")/guest-init
# In the order in which they are inserted.
guest_modules=(failover net_failover virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci
	virtio_net)
# Only these are kept of a kernel package: other modules, another folder.
guest_cache=${XDG_CACHE_HOME:-$HOME/.cache}/vnet/guest-$(cksum <<<"${guest_modules[*]}" | cut -d ' ' -f 1)

guest_platform() {
	case $(machine_architecture) in
	x86_64)
		guest_debian=amd64 guest_package=qemu-system-x86 guest_console=ttyS0
		# Where others keep the machine busy a guest measures its TSC wrongly, and a second of it is a fraction of one.
		# Without its check of the timer, which fails where the emulated one is late because the machine is busy.
		guest_clock='clocksource=acpi_pm no_timer_check'
		guest_qemu=(qemu-system-x86_64 -machine "pc,accel=tcg")
		;;
	aarch64)
		guest_debian=arm64 guest_package=qemu-system-arm guest_console=ttyAMA0 guest_clock=
		guest_qemu=(qemu-system-aarch64 -machine "virt,accel=tcg" -cpu cortex-a57)
		;;
	esac
}
guest_platform

guest_prepare() {
	need_packages "$guest_package:${guest_qemu[0]}"
	command -v apt-get >/dev/null ||
		fail "test guests are made of Debian's own kernel package, and there is no apt-get here to fetch it"

	local kernel kernel_package
	kernel_package=$(kernel_package_name)
	if [ -z "$kernel_package" ] && [ "$(id -u)" -eq 0 ]; then
		packages_update
		kernel_package=$(kernel_package_name)
	fi
	[ -n "$kernel_package" ] ||
		fail "apt knows no package linux-image-cloud-$guest_debian" \
			"If its lists are merely missing: sudo apt-get update. Otherwise this needs Debian's package archive."

	package_cached "$kernel_package" guest_kernel_pick
	kernel=$package_folder
	package_cached busybox-static guest_busybox_pick
	GUEST_BUSYBOX=$package_folder/busybox
	GUEST_KERNEL=$kernel/vmlinuz
	guest_initrd_cached "$kernel"
	export GUEST_KERNEL GUEST_INITRD GUEST_BUSYBOX
}

# The cloud kernel's own package: its version is part of its name.
kernel_package_name() {
	{ LC_ALL=C apt-cache depends "linux-image-cloud-$guest_debian" 2>/dev/null || true; } |
		awk '/Depends:/ && !seen++ { print $2 }'
}

# package_cached PACKAGE PICK: sets package_folder to what PICK (UNPACKED, FOLDER) keeps of the newest PACKAGE.
package_cached() {
	local package=$1 pick=$2
	package_name "$package"
	[ ! -d "$package_folder" ] || return 0
	(cache_workplace && package_fetch "$package" "$pick")
	package_name "$package"
	[ -d "$package_folder" ] ||
		fail "apt downloaded another version of $package than it had named" "Another apt may be running; try again."
}

# The file's name holds the version; it is known without a network.
package_name() {
	local file
	file=$({ apt-get download --print-uris "$1" 2>/dev/null || true; } | cut -d ' ' -f 2 | tail -n 1)
	package_folder=$guest_cache/${file:-unknown}
	package_folder=${package_folder%.deb}
}

# To be called in a subshell: what is unfinished goes with it, however it ends.
cache_workplace() {
	mkdir -p "$guest_cache"
	work=$(mktemp -d "$guest_cache/unfinished.XXXXXX")
	trap 'rm -rf "$work"' EXIT
}

package_fetch() {
	local package=$1 pick=$2 folder
	package_download "$package" "$work"
	mkdir "$work/unpacked" "$work/kept"
	dpkg-deb -x "$work"/*.deb "$work/unpacked"
	"$pick" "$work/unpacked" "$work/kept"
	folder=$guest_cache/$(basename "$work"/*.deb .deb)
	# Another run may have been faster; its result is as good.
	mv -T "$work/kept" "$folder" 2>/dev/null || [ -d "$folder" ]
}

package_download() {
	local package=$1 folder=$2 output
	# As root apt complains that its own user cannot write here; it then downloads as root, which is fine.
	local download=(apt-get -qq download "$package")
	note "Downloading $package ..."
	output=$(cd "$folder" && "${download[@]}" 2>&1) && return 0
	if [ "$(id -u)" -eq 0 ]; then
		packages_update
		output=$(cd "$folder" && "${download[@]}" 2>&1) && return 0
	fi
	fail "apt-get download $package failed" \
		"Is this machine online? Are apt's lists recent (sudo apt-get update)? It said:" "$output"
}

guest_busybox_pick() {
	cp "$1"/*bin/busybox "$2/" 2>/dev/null || cp "$1"/usr/*bin/busybox "$2/"
}

guest_kernel_pick() {
	local module file
	cp "$1"/boot/vmlinuz-* "$2/vmlinuz"
	mkdir "$2/modules"
	for module in "${guest_modules[@]}"; do
		file=$(find "$1" \( -name "$module.ko" -o -name "$module.ko.xz" \) -print -quit)
		if [ -n "$file" ]; then
			cp "$file" "$2/modules/"
		elif ! grep -qr --include=modules.builtin "/$module\.ko" "$1"; then
			fail "the Debian kernel package has no module $module" "scripts/lib/guest.sh needs to learn about it."
		fi
	done
}

guest_initrd_cached() {
	local kernel=$1 key
	key=$(cat "$guest_init" "$GUEST_BUSYBOX" | sha256sum | cut -c 1-16)
	GUEST_INITRD=$kernel/initrd-$key
	[ -e "$GUEST_INITRD" ] || (cache_workplace && guest_initrd_make "$kernel")
}

guest_initrd_make() {
	local kernel=$1 number=10 module
	mkdir -p "$work/root/bin" "$work/root/modules"
	install -m 755 "$GUEST_BUSYBOX" "$work/root/bin/busybox"
	install -m 755 "$guest_init" "$work/root/init"
	for module in "${guest_modules[@]}"; do
		# Numbered, because the guest inserts them in the order of their names.
		if [ -e "$kernel/modules/$module.ko" ]; then
			cp "$kernel/modules/$module.ko" "$work/root/modules/$number-$module.ko"
		elif [ -e "$kernel/modules/$module.ko.xz" ]; then
			"$GUEST_BUSYBOX" xzcat "$kernel/modules/$module.ko.xz" >"$work/root/modules/$number-$module.ko"
		fi
		number=$((number + 1))
	done
	(cd "$work/root" && find . | "$GUEST_BUSYBOX" cpio -o -H newc 2>/dev/null) >"$work/initrd"
	mv "$work/initrd" "$GUEST_INITRD"
}

declare -A guest_process=() guest_keyboard=()

guest_start() {
	local name=$1 arguments=$2 keyboard
	shift 2
	mkfifo "$guest_folder/$name.keyboard"
	: >"$guest_folder/$name.console"
	# Open for both directions, or opening would wait for the other end.
	exec {keyboard}<>"$guest_folder/$name.keyboard"
	guest_keyboard[$name]=$keyboard
	rm "$guest_folder/$name.keyboard"
	# The kernel keeps quiet, or it might speak in the middle of a verdict. What guards it and what tests it takes time
	# where every instruction is emulated, and nobody attacks it.
	"${guest_qemu[@]}" -m 128 -nodefaults -display none -no-reboot -serial stdio \
		-kernel "$GUEST_KERNEL" -initrd "$GUEST_INITRD" \
		-append "console=$guest_console loglevel=1 panic=-1 mitigations=off nokaslr cryptomgr.notests $guest_clock \
			vnet.name=$name $arguments" "$@" \
		<&"$keyboard" >>"$guest_folder/$name.console" 2>"$guest_folder/$name.errors" &
	guest_process[$name]=$!
}

guest_alive() { kill -0 "${guest_process[$1]}" 2>/dev/null; }

# Fails at once when one of them is gone without having said it, and after 75 seconds in any case.
guest_wait() {
	local word=$1 name silent deadline=$((SECONDS + 75))
	shift
	while :; do
		silent=0
		for name in "$@"; do
			guest_saw "$name" "$word" && continue
			# What it said just before it went counts.
			guest_alive "$name" || guest_saw "$name" "$word" || return 1
			silent=$((silent + 1))
		done
		[ "$silent" -gt 0 ] || return 0
		[ "$SECONDS" -lt "$deadline" ] || return 1
		sleep 0.2
	done
}

# A console ends its lines with a carriage return.
guest_saw() { grep -qxF "verdict $1 $2"$'\r' "$guest_folder/$1.console"; }

guest_told() {
	local start="verdict $1 $2 " line
	while IFS= read -r line; do
		[[ $line != "$start"* ]] || printf '%s\n' "${line#"$start"}"
	done < <(tr -d '\r' <"$guest_folder/$1.console")
}

guest_tell() { printf '%s\n' "$2" >&"${guest_keyboard[$1]}"; }

# guest_ended NAME [SECONDS]: QEMU's exit status, or 124 when it is still there after that time.
guest_ended() {
	local name=$1 deadline=$((SECONDS + ${2:-20})) status=0
	while guest_alive "$name"; do
		[ "$SECONDS" -lt "$deadline" ] || return 124
		sleep 0.1
	done
	wait "${guest_process[$name]}" || status=$?
	unset "guest_process[$name]"
	return "$status"
}

guest_stop_all() {
	local name
	for name in "${!guest_process[@]}"; do kill "${guest_process[$name]}" 2>/dev/null || true; done
	for name in "${!guest_process[@]}"; do
		guest_ended "$name" 5 || true
		[ -z "${guest_process[$name]-}" ] || kill -KILL "${guest_process[$name]}" 2>/dev/null || true
	done
}
