//! The rules of `bridge vnet`: what a guarded port's guest may send, which is what `tests/nftables/ruleset.nft` says with
//! the reasons.

use super::expression::Step::{
    self, Begins, BeginsNot, Drop, Has, In, Is, IsNot, Jump, Map, MarkLoaded, NotIn, Return, Unmark,
};
use super::field::Field::{
    self, ArpLengths, ArpSource4, ArpSourceEther, ArpTarget4, ArpTypes, BootpEther, BootpType, EtherProtocol,
    EtherSource, EtherTarget, EtherType, FragmentNext, FragmentPlace, FragmentPlace4, HasFragment, IcmpType, InIndex,
    NdTarget, NdTargetFirst, Protocol, Source4, Source6, TargetPort, TransportStart,
};
use super::ruleset::{Chain, FILTER, LINK_LOCAL, PREROUTING, RESERVED, RESERVED_BITS, TCP, UDP};
use super::set::Set;

const ICMPV6: u32 = 58;
const ESP: u32 = 50;
const ICMP: u32 = 1;
/// ICMP's, RFC 1256
const ROUTER_ADVERT: u32 = 9;
/// RFC 4861
const ND_ROUTER_ADVERT: u32 = 134;
const ND_SOLICIT: u32 = 135;
const ND_ADVERT: u32 = 136;
const ND_REDIRECT: u32 = 137;
const DHCP_SERVER: u32 = 67;
const DHCP_CLIENT: u32 = 68;
const DHCP6_CLIENT: u32 = 546;
/// A MAC, of six bytes: RFC 951's `htype` and `hlen`.
const BOOTP_OF_ETHER: u32 = 0x0106;
const ETHER_ARP: u32 = 0x0806;
/// Ethernet's number for itself and for IPv4, and the bytes of an address of each.
const ARP_OF_IP: u32 = 0x0001_0800;
const ARP_LENGTHS: u32 = 0x0604;
const FRAME_V4: Step = Is(EtherProtocol, ETHER_IP);
const FRAME_V6: Step = Is(EtherProtocol, ETHER_IP6);
const FRAME_ARP: Step = Is(EtherType, ETHER_ARP);
const ETHER_IP: u32 = 0x0800;
const ETHER_IP6: u32 = 0x86dd;

/// It has a protocol: what the kernel itself cannot read, for its headers end too early or too late, has none.
const LEGIBLE: Step = IsNot(Protocol, RESERVED_PROTOCOL);
/// Reserved by IANA: no protocol has it, so all that are known are others.
const RESERVED_PROTOCOL: u32 = 255;

/// The bits of a fragment's place in the third and fourth byte of its header.
const FRAGMENT_PLACE: u32 = 0xfff8;
/// The same in IPv4's header, without its flags.
const FRAGMENT_PLACE4: u32 = 0x1fff;

/// Its chains, of which the first is the hook's.
pub(super) const BRIDGE: &[Chain] = &[
    Chain {
        name: "pre",
        base: Some((FILTER, PREROUTING, -300)),
        rules: &[&[Map(&[InIndex], Set::Guarded), MarkLoaded, Jump("guarded")]],
    },
    Chain {
        name: "guarded",
        base: None,
        rules: &[
            &[Begins(EtherTarget, RESERVED, RESERVED_BITS), Drop],
            &[NotIn(&[InIndex, EtherSource], Set::Mac), Drop],
            &[IsNot(EtherType, ETHER_IP), IsNot(EtherType, ETHER_IP6), IsNot(EtherType, ETHER_ARP), Drop],
            &[Is(EtherType, ETHER_IP), Jump("in_ip4")],
            &[Is(EtherType, ETHER_IP6), Jump("in_ip6")],
            &[FRAME_ARP, Jump("in_arp")],
            &[Unmark],
        ],
    },
    Chain {
        name: "in_arp",
        base: None,
        rules: &[
            &[FRAME_ARP, NotIn(&[InIndex, ArpSourceEther], Set::Mac), Drop],
            &[
                FRAME_ARP,
                NotIn(&[InIndex, ArpSource4], Set::Addresses4),
                In(&[Field::Mark, ArpSource4], Set::Own4),
                Drop,
            ],
            &[
                FRAME_ARP,
                Is(ArpSource4, 0),
                NotIn(&[InIndex, ArpTarget4], Set::Addresses4),
                In(&[Field::Mark, ArpTarget4], Set::Own4),
                Drop,
            ],
            &[
                In(&[InIndex], Set::Known4),
                FRAME_ARP,
                IsNot(ArpSource4, 0),
                NotIn(&[InIndex, ArpSource4], Set::Addresses4),
                Drop,
            ],
            &[
                In(&[InIndex], Set::Known4),
                FRAME_ARP,
                Is(ArpSource4, 0),
                NotIn(&[InIndex, ArpTarget4], Set::Addresses4),
                Drop,
            ],
            &[FRAME_ARP, Is(ArpTypes, ARP_OF_IP), Is(ArpLengths, ARP_LENGTHS), IsNot(ArpTarget4, u32::MAX), Return],
            &[Drop],
        ],
    },
    Chain {
        name: "in_ip4",
        base: None,
        rules: &[
            &[FRAME_V4, NotIn(&[InIndex, Source4], Set::Addresses4), In(&[Field::Mark, Source4], Set::Own4), Drop],
            &[Is(Protocol, UDP), Is(TargetPort, DHCP_SERVER), Jump("to_server")],
            &[FRAME_V4, Is(Source4, 0), Is(Protocol, UDP), Is(TargetPort, DHCP_SERVER), Return],
            &[In(&[InIndex], Set::Known4), FRAME_V4, NotIn(&[InIndex, Source4], Set::Addresses4), Drop],
            &[FRAME_V4, Has(FragmentPlace4, FRAGMENT_PLACE4), LEGIBLE, Return],
            &[Is(Protocol, UDP), Is(TargetPort, DHCP_CLIENT), Drop],
            &[Is(EtherType, ETHER_IP), Is(Protocol, ICMP), Is(IcmpType, ROUTER_ADVERT), Drop],
            &[LEGIBLE, Return],
            &[Drop],
        ],
    },
    Chain {
        name: "to_server",
        base: None,
        rules: &[
            &[FRAME_V4, Has(FragmentPlace4, FRAGMENT_PLACE4), Return],
            &[IsNot(BootpType, BOOTP_OF_ETHER), Drop],
            &[In(&[InIndex, BootpEther], Set::Mac), Return],
            &[Drop],
        ],
    },
    Chain {
        name: "in_ip6",
        base: None,
        rules: &[
            &[FRAME_V6, NotIn(&[InIndex, Source6], Set::Addresses6), In(&[Field::Mark, Source6], Set::Own6), Drop],
            &[
                In(&[InIndex], Set::Known6),
                FRAME_V6,
                IsNot(Source6, 0),
                BeginsNot(Source6, LINK_LOCAL, 10),
                NotIn(&[InIndex, Source6], Set::Addresses6),
                Drop,
            ],
            &[Is(EtherType, ETHER_IP6), Is(HasFragment, 1), Jump("in_part6")],
            &[Is(EtherType, ETHER_IP6), Has(FragmentPlace, FRAGMENT_PLACE), LEGIBLE, Return],
            &[Is(Protocol, UDP), Is(TargetPort, DHCP6_CLIENT), Drop],
            &[Is(Protocol, ICMPV6), Jump("in_icmp6")],
            &[IsNot(TransportStart, u32::MAX), Return],
            &[Drop],
        ],
    },
    Chain {
        name: "in_part6",
        base: None,
        rules: &[
            &[Is(EtherType, ETHER_IP6), Is(FragmentNext, TCP), Return],
            &[Is(EtherType, ETHER_IP6), Is(FragmentNext, UDP), Return],
            &[Is(EtherType, ETHER_IP6), Is(FragmentNext, ICMPV6), Return],
            &[Is(EtherType, ETHER_IP6), Is(FragmentNext, ESP), Return],
            &[Drop],
        ],
    },
    Chain {
        name: "in_icmp6",
        base: None,
        rules: &[
            &[Is(EtherType, ETHER_IP6), Is(Protocol, ICMPV6), Is(IcmpType, ND_ROUTER_ADVERT), Drop],
            &[Is(EtherType, ETHER_IP6), Is(Protocol, ICMPV6), Is(IcmpType, ND_REDIRECT), Drop],
            &[Is(EtherType, ETHER_IP6), Is(Protocol, ICMPV6), Is(IcmpType, ND_ADVERT), Jump("claims")],
            &[Is(EtherType, ETHER_IP6), Is(Protocol, ICMPV6), Is(IcmpType, ND_SOLICIT), Is(Source6, 0), Jump("claims")],
        ],
    },
    Chain {
        name: "claims",
        base: None,
        rules: &[
            &[Is(EtherType, ETHER_IP6), Is(HasFragment, 1), Drop],
            &[FRAME_V6, In(&[InIndex, NdTarget], Set::Addresses6), Return],
            &[FRAME_V6, In(&[Field::Mark, NdTarget], Set::Own6), Drop],
            &[In(&[InIndex], Set::Known6), BeginsNot(NdTargetFirst, LINK_LOCAL, 10), Drop],
        ],
    },
];
