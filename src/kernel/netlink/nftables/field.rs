//! What a packet can be asked for, and how: linux/netfilter/nf_tables.h has the numbers.

/// What a packet can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    /// `meta mark`
    Mark,
    /// `iif`
    InIndex,
    /// `meta iiftype`, of two bytes
    InType,
    /// `iifname`
    InName,
    /// `oifname`
    OutName,
    /// `oif`
    Out,
    /// `meta nfproto`
    Family,
    /// `meta l4proto`
    Protocol,
    /// `meta protocol`, in the bridge family
    EtherProtocol,
    /// `ct state`
    State,
    /// `ct status`
    Status,
    /// `fib saddr type`
    SourceType,
    /// `fib daddr type`
    TargetType,
    /// `ip saddr`
    Source4,
    /// The first byte of `ip saddr`
    Source4First,
    /// `ip daddr`
    Target4,
    /// The first byte of `ip daddr`, for prefixes that end there
    Target4First,
    /// `ip6 saddr`
    Source6,
    /// `ip6 daddr`
    Target6,
    /// The first byte of `ip6 daddr`
    Target6First,
    /// `th dport`
    TargetPort,
    /// `icmpv6 type`
    IcmpType,
    /// `exthdr frag`, which is 1 where it exists
    HasFragment,
    /// `frag nexthdr`
    FragmentNext,
    /// `ip frag-off`, and the three bits before it
    FragmentPlace4,
    /// `frag frag-off`, and the three bits behind it
    FragmentPlace,
    /// What a transport's header begins with: ports, or a type
    TransportStart,
    /// The target of a neighbour solicitation or advertisement
    NdTarget,
    /// Its first two bytes
    NdTargetFirst,
    /// `ether daddr`
    EtherTarget,
    /// `ether saddr`
    EtherSource,
    /// `ether type`
    EtherType,
    /// What kind of address BOOTP's `chaddr` is, and its length
    BootpType,
    /// BOOTP's `chaddr`, as long as a MAC: whose address is asked for
    BootpEther,
    /// `arp saddr ether`
    ArpSourceEther,
    /// `arp saddr ip`
    ArpSource4,
    /// `arp daddr ip`
    ArpTarget4,
    /// `arp htype` and `arp ptype`
    ArpTypes,
    /// `arp hlen` and `arp plen`
    ArpLengths,
}

/// How a field is loaded: the expression, and its numbers.
pub(super) enum Load {
    /// The key, and whether the value is in the machine's byte order.
    Meta(u32, bool),
    /// The key.
    Ct(u32),
    /// Whether there is an IPv6 extension header of this number.
    HasHeader(u8),
    /// The number of an IPv6 extension header, and the offset.
    Header(u8, u32),
    /// Of which address to tell the type: of the source, 1, or of the target, 2.
    Fib(u32),
    /// The header (link 0, network 1, transport 2) and the offset.
    Payload(u32, u32),
}

impl Field {
    /// How it is loaded, and how many bytes it has.
    pub(super) const fn load(self) -> (Load, usize) {
        const LINK: u32 = 0;
        const NETWORK: u32 = 1;
        const TRANSPORT: u32 = 2;
        match self {
            Self::EtherProtocol => (Load::Meta(1, false), 2),
            Self::InIndex => (Load::Meta(4, true), 4),
            Self::Mark => (Load::Meta(3, true), 4),
            Self::Out => (Load::Meta(5, true), 4),
            Self::InType => (Load::Meta(8, true), 2),
            Self::InName => (Load::Meta(6, false), 16),
            Self::OutName => (Load::Meta(7, false), 16),
            Self::Family => (Load::Meta(15, false), 1),
            Self::Protocol => (Load::Meta(16, false), 1),
            Self::State => (Load::Ct(0), 4),
            Self::Status => (Load::Ct(2), 4),
            Self::SourceType => (Load::Fib(1), 4),
            Self::TargetType => (Load::Fib(2), 4),
            Self::HasFragment => (Load::HasHeader(44), 1),
            Self::FragmentNext => (Load::Header(44, 0), 1),
            Self::FragmentPlace4 => (Load::Payload(NETWORK, 6), 2),
            Self::FragmentPlace => (Load::Header(44, 2), 2),
            Self::TransportStart => (Load::Payload(TRANSPORT, 0), 4),
            Self::EtherTarget => (Load::Payload(LINK, 0), 6),
            Self::EtherSource => (Load::Payload(LINK, 6), 6),
            Self::EtherType => (Load::Payload(LINK, 12), 2),
            Self::Source4 => (Load::Payload(NETWORK, 12), 4),
            Self::Source4First => (Load::Payload(NETWORK, 12), 1),
            Self::Target4 => (Load::Payload(NETWORK, 16), 4),
            Self::Target4First => (Load::Payload(NETWORK, 16), 1),
            Self::Source6 => (Load::Payload(NETWORK, 8), 16),
            Self::Target6 => (Load::Payload(NETWORK, 24), 16),
            Self::Target6First => (Load::Payload(NETWORK, 24), 1),
            Self::ArpSourceEther => (Load::Payload(NETWORK, 8), 6),
            Self::ArpSource4 => (Load::Payload(NETWORK, 14), 4),
            Self::ArpTarget4 => (Load::Payload(NETWORK, 24), 4),
            Self::ArpTypes => (Load::Payload(NETWORK, 0), 4),
            Self::ArpLengths => (Load::Payload(NETWORK, 4), 2),
            Self::NdTarget => (Load::Payload(TRANSPORT, 8), 16),
            Self::NdTargetFirst => (Load::Payload(TRANSPORT, 8), 2),
            Self::TargetPort => (Load::Payload(TRANSPORT, 2), 2),
            Self::BootpType => (Load::Payload(TRANSPORT, 9), 2),
            Self::BootpEther => (Load::Payload(TRANSPORT, 36), 6),
            Self::IcmpType => (Load::Payload(TRANSPORT, 0), 1),
        }
    }

    /// Whether `nft` knows it as some bits of its bytes, or by its place alone.
    pub(super) const fn is_of_bits(self) -> bool {
        matches!(self, Self::EtherTarget | Self::FragmentPlace | Self::FragmentPlace4 | Self::NdTargetFirst)
    }

    /// How many bytes it takes in registers.
    pub(super) fn room(self) -> usize {
        self.load().1.next_multiple_of(4)
    }

    /// A number as the field has it: `n` in its last bytes, or in the machine's order.
    pub(super) fn value(self, number: u32) -> ([u8; 16], usize) {
        let (load, length) = self.load();
        let bytes = match load {
            Load::Meta(_, true) | Load::Ct(_) | Load::Fib(_) if cfg!(target_endian = "little") => {
                first_bytes(number.to_le_bytes())
            }
            _ => u128::from(number)
                .checked_shl(128 - 8 * u32::try_from(length).unwrap_or_default())
                .unwrap_or_default()
                .to_be_bytes(),
        };
        (bytes, length)
    }
}

/// Four bytes with zeroes behind them.
pub(super) fn first_bytes(bytes: [u8; 4]) -> [u8; 16] {
    let mut all = [0; 16];
    if let Some(first) = all.first_chunk_mut() {
        *first = bytes;
    }
    all
}
