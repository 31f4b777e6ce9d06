# shellcheck shell=bash
# shellcheck disable=SC2154 # what demo-acts and guest.sh set
# Sourced by demo-acts: guests of a user who is not root, on the NAT network home, by vnet-bridge-helper.
#
#   helper_prepare       the user's guest file, the helper with its capability, and the network up
#   helper_boot          guests p, q and r; helper_guests are those that could be booted here
#   helper_show          what they got, and whom they reached
#   helper_show_end      what is left when they are gone

helper_guests=()
helper_user=nobody
helper_p=(10.66.0.25 fd66::5054:ff:fe00:19)
helper=$STAGE/vnet-bridge-helper

# In a user namespace there is no other user.
helper_possible() { setpriv --reuid="$helper_user" true 2>/dev/null; }

helper_prepare() {
	local file
	cat >/etc/vnet/guests/home-p.json <<'JSON'
{ "network": "home", "mac": "52:54:00:00:00:19", "addresses": ["10.66.0.25", "fd66::5054:ff:fe00:19"], "hostname": "p",
  "allow": { "users": ["nobody"] } }
JSON
	helper_possible || return 0
	# The helper believes no link that leads elsewhere, and on the stage all of /etc are links to the machine's.
	for file in passwd group; do
		rm -f "/etc/$file"
		cp "/vnet-etc/$file" "/etc/$file"
	done
	rm -f /etc/qemu
	mkdir /etc/qemu
	echo 'deny all' >/etc/qemu/bridge.conf
	install -m 755 "$dist/vnet-bridge-helper" "$helper"
	setcap cap_net_admin+ep "$helper"
	install -m 755 "$session" "$STAGE/session"
	install -m 644 "$GUEST_KERNEL" "$STAGE/kernel"
	install -m 644 "$GUEST_INITRD" "$STAGE/initrd"
	# The helper itself starts no network.
	"$dist/vnet" up home >/dev/null
}

as_user() { setpriv --reuid="$helper_user" --regid=nogroup --clear-groups --inh-caps=-all "$@"; }

# The MAC that the next guest without a file has to have: it goes by the tap's name, which is the lowest that is free.
helper_mac() {
	local said
	said=$(as_user "$STAGE/session" "$helper" home true 2>&1) || fail "the helper lends $helper_user no tap: $said"
	[[ $said =~ has\ to\ have\ the\ MAC\ ([0-9a-f:]{17}) ]] || fail "the helper names no MAC: $said"
	echo "${BASH_REMATCH[1]}"
}

# helper_start NAME MAC NETDEV [COMMAND...]: QEMU as the user, by way of the command.
helper_start() {
	local name=$1 mac=$2 netdev=$3 GUEST_KERNEL=$STAGE/kernel GUEST_INITRD=$STAGE/initrd
	shift 3
	local guest_qemu=(setpriv --reuid="$helper_user" --regid=nogroup --clear-groups --inh-caps=-all "$@" "${guest_qemu[@]}")
	guest_start "$name" "vnet.hold=90 vnet.linger=90 vnet.automatic=yes vnet.serve=yes vnet.reach=10.66.0.1,fd66::1 \
		vnet.avoid=10.88.0.1,10.77.0.3,10.99.0.1 vnet.fetch=192.0.2.80,2001:db8::80" \
		-netdev "$netdev" -device "virtio-net-pci,netdev=n0,romfile=,mac=$mac"
	helper_guests+=("$name")
}

helper_tap_awaited() {
	local deadline=$((SECONDS + 20))
	until [ -e "/sys/class/net/$1" ]; do
		[ "$SECONDS" -lt "$deadline" ] || fail "QEMU's helper made no $1 within 20 seconds"
		sleep 0.1
	done
}

helper_boot() {
	local user
	helper_possible || return 0
	user=$(id -u "$helper_user")
	helper_macs=([p]=52:54:00:00:00:19)
	helper_taps=([p]=home-p [q]="vu$user-0" [r]="vu$user-1")
	helper_start p "${helper_macs[p]}" "tap,id=n0,br=home,helper=$helper --guest=home-p"
	helper_macs[q]=$(helper_mac)
	helper_start q "${helper_macs[q]}" "bridge,id=n0,br=home,helper=$helper"
	helper_tap_awaited "${helper_taps[q]}"
	helper_macs[r]=$(helper_mac)
	helper_start r "${helper_macs[r]}" tap,id=n0,fd=3 "$STAGE/session" "$helper" home
}
declare -A helper_macs helper_taps

helper_show() {
	local name
	title 'Without root: guests of the user nobody on the same NAT network, by vnet-bridge-helper'
	if [ ${#helper_guests[@]} -eq 0 ]; then
		printf '  not shown, for in a user namespace there is no other user to become\n'
		return
	fi
	for name in "${helper_guests[@]}"; do
		says "$name's QEMU runs as" "$helper_user" "$(stat -c %U "/proc/${guest_process[$name]}")"
		fact "$name is a port of vnbr-home (${helper_taps[$name]}), with vnet_hdr" helper_tap_good "${helper_taps[$name]}"
		reached "$name" "$name reached its gateway" 10.66.0.1 fd66::1
		fetched "$name" 192.0.2.80 "$name fetched a page outside, which saw the host" 'outside greets 10.99.0.1'
		fetched "$name" 2001:db8::80 "$name fetched a page outside, which saw the host" 'outside greets fd99::1'
		unreached "$name" "$name did not reach a, c, or another address of the host" 10.88.0.1 10.77.0.3 10.99.0.1
	done
	says 'p, helper="... --guest=home-p": its file names its lease' "${helper_p[0]}/24 domain home.internal" \
		"$(guest_told p leased)"
	for name in q r; do
		fact "$name, by the MAC that the helper names (${helper_macs[$name]}), took a lease of the range" \
			helper_leased "$name"
	done
	fact 'a network that does not allow nobody is none, as one that is not there' helper_refused dmz
	fact 'and so is one that is not there' helper_refused nowhere
}

helper_tap_good() {
	port_of "$1" vnbr-home && ip -details link show dev "$1" | grep -q 'vnet_hdr on'
}

helper_leased() { [[ $(guest_told "$1" leased) =~ ^10\.66\.0\.1[0-9][0-9]/24\ domain\ home\.internal$ ]]; }

# The same words for both, but for the name.
helper_refused() {
	local said
	said=$(as_user "$STAGE/session" "$helper" "$1" true 2>&1) && return 1
	[[ $said == *"access denied: there is no network or bridge $1 that user "*" may join; "* ]]
}

helper_show_end() {
	[ ${#helper_guests[@]} -gt 0 ] || return 0
	fact "and so are the user's (${helper_taps[*]})" test -z "$(links_named "${helper_taps[@]}")"
}
