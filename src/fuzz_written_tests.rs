//! What is written of any value is read as that value again: marks, loans, and rules of bridge.conf.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::path::Path;

use crate::config::{BridgeRules, Principal, Unread};
use crate::model::{AddrGen, Former, IfName, Loan, Mac, Mark, NetworkName, Replaced, Seal};

/// How many values of each kind.
const MANY: usize = 5_000;

/// Numbers that are the same in each run (xorshift, Marsaglia 2003).
struct Any(u64);

impl Any {
    fn number(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.number() % end as u64).unwrap()
    }

    fn flag(&mut self) -> bool {
        self.number() & 1 == 1
    }

    /// One that is as often at an end as between.
    fn u32(&mut self) -> u32 {
        let between = (self.number() & 0xffff_fffe) as u32;
        [0, 1, 1000, u32::MAX - 1, between][self.below(5)]
    }

    fn name(&mut self, longest: usize) -> String {
        const LETTERS: &[u8] = b"abzABZ0189_.-";
        (0..=self.below(longest)).map(|_| char::from(LETTERS[self.below(LETTERS.len())])).collect()
    }

    /// The first of many names that is one.
    fn parsed<T: std::str::FromStr>(&mut self, longest: usize) -> T {
        (0..1000).find_map(|_| self.name(longest).parse().ok()).unwrap()
    }

    fn interface(&mut self) -> IfName {
        self.parsed(IfName::MAX)
    }

    fn network(&mut self) -> NetworkName {
        self.parsed(NetworkName::MAX)
    }

    fn mac(&mut self) -> Mac {
        let [first, b, c, d, e, f, ..] = self.number().to_be_bytes();
        Mac::from_bytes([first & 0xfe | 2, b, c, d, e, f])
    }

    fn loan(&mut self) -> Loan {
        let network = self.flag().then(|| self.network());
        let mac = network.is_some().then(|| self.mac());
        let of_guest_file = network.is_some() && self.flag();
        Loan { network, user: self.u32(), mac, of_guest_file }
    }

    fn former(&mut self) -> Former {
        let ways =
            [None, Some(AddrGen::Eui64), Some(AddrGen::None), Some(AddrGen::StablePrivacy), Some(AddrGen::Random)];
        Former {
            up: self.flag(),
            mtu: self.u32(),
            addr_gen: ways[self.below(ways.len())],
            mac: self.mac(),
            bridge: self.interface(),
            master: self.flag().then(|| self.interface()),
        }
    }

    fn mark(&mut self) -> Mark {
        match self.below(5) {
            0 => Mark::Owned(self.network(), self.flag().then(|| Seal::of(&[&self.name(9)]))),
            1 => Mark::Port(self.network(), self.flag().then(|| self.former())),
            2 => Mark::Uplink(self.network(), Replaced { card: self.interface(), up: self.flag() }),
            3 => Mark::Persistent(self.network()),
            _ => Mark::Lent(self.loan()),
        }
    }
}

#[test]
fn a_mark_that_is_written_is_read_as_the_same() {
    let mut any = Any(0x9e37_79b9_7f4a_7c15);
    for _ in 0..MANY {
        let mark = any.mark();
        assert_eq!(Mark::parse(&mark.to_string()), Some(mark.clone()), "{mark}");
        super::marks(mark.to_string().as_bytes());
    }
}

#[test]
fn a_loan_that_is_written_is_read_as_the_same_and_never_of_another_user_or_network() {
    let mut any = Any(0x2545_f491_4f6c_dd1d);
    for _ in 0..MANY {
        let (one, other) = (any.loan(), any.loan());
        assert_eq!(Mark::parse(&one.to_string()), Some(Mark::Lent(one.clone())), "{one}");
        assert_eq!(one == other, one.to_string() == other.to_string(), "{one} {other}");
    }
}

#[test]
fn a_principal_that_is_written_is_read_as_the_same() {
    let mut any = Any(0x1234_5678_9abc_def1);
    for _ in 0..MANY {
        let principal = if any.flag() { Principal::Number(any.u32()) } else { any.parsed(32) };
        assert_eq!(principal.to_string().parse().as_ref(), Ok(&principal));
    }
}

#[test]
fn rules_that_are_written_say_what_they_were_of_every_bridge() {
    const BLANKS: [&str; 5] = ["", " ", "\t", "  \t", " \r"];
    let mut any = Any(0x0123_4567_89ab_cdef);
    for _ in 0..MANY {
        let bridges: Vec<IfName> = (0..3).map(|_| any.interface()).collect();
        // Whether it allows, and which bridge: all of them behind the last.
        let rules: Vec<(bool, usize)> = (0..any.below(5)).map(|_| (any.flag(), any.below(4))).collect();
        let text: String = (rules.iter())
            .map(|(allows, bridge)| {
                let name = bridges.get(*bridge).map_or("all", IfName::as_str);
                let [front, between, behind] = [(); 3].map(|()| BLANKS[any.below(BLANKS.len())]);
                // Where there is a space that is what ends the word, and a tab before it would be the word's.
                let verb = if *allows { "allow" } else { "deny" };
                format!("{front}{verb} {between}{name}{behind}\n#{verb} {name}\n")
            })
            .collect();
        let read = BridgeRules::load(Path::new("/first"), |_| Ok::<_, Unread>(text.clone())).unwrap();
        for (number, bridge) in bridges.iter().enumerate() {
            let same = |of: usize| bridges.get(of).is_none_or(|other| other == bridge);
            let said = |what: bool| rules.iter().any(|(allows, of)| *allows == what && same(*of));
            assert_eq!(read.allow(bridge), said(true) && !said(false), "{number}: {bridge} {text:?}");
        }
        super::rules(text.as_bytes());
    }
}
