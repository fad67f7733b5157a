//! What kind of address an address is, by the IANA special-purpose registries (RFC 6890).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Metadata services of clouds, which hand out credentials to whoever asks from inside: never reachable.
const METADATA_V4: [Ipv4Addr; 5] = [
    // The usual one, the one for containers' tasks, and three vendors' own.
    Ipv4Addr::new(169, 254, 169, 254),
    Ipv4Addr::new(169, 254, 170, 2),
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(192, 0, 0, 192),
];
const METADATA_V6: [Ipv6Addr; 3] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Of the open internet.
    Public,
    /// RFC 1918, unique local (RFC 4193), and what providers share among their customers (RFC 6598).
    Private,
    /// This machine.
    Loopback,
    LinkLocal,
    /// A metadata service of a cloud.
    Metadata,
    Unspecified,
    Multicast,
    /// For benchmarks, documents, protocols, or nothing yet.
    Special,
}

impl Class {
    /// Whatever is configured: nothing that anybody would want to reach lives there, and metadata services would hand out
    /// this machine's own credentials.
    pub fn is_never_reached(self) -> bool {
        matches!(self, Self::LinkLocal | Self::Metadata | Self::Unspecified | Self::Multicast)
    }

    /// Why a host that leads there is left alone; `what` would have come from it, such as `images`.
    pub fn refusal(self, host: &str, what: &str) -> String {
        let class = self.words();
        if self.is_never_reached() {
            return format!("{host} leads to {class}, which {what} never come from");
        }
        format!(
            "{host} leads to {class}, which {what} do not come from here; who operates this server can allow it with \
             private_networks in [outgoing] (WINDLASS_PRIVATE_NETWORKS)"
        )
    }

    /// With its article, for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Public => "an address of the open internet",
            Self::Private => "an address of a private network",
            Self::Loopback => "a loopback address, which is this server itself",
            Self::LinkLocal => "a link-local address",
            Self::Metadata => "the address of a metadata service",
            Self::Unspecified => "the unspecified address",
            Self::Multicast => "a multicast address",
            Self::Special => "an address for special purposes",
        }
    }
}

/// An IPv6 address that stands for an IPv4 one leads there: mapped and compatible (RFC 4291), NAT64 (RFC 6052), 6to4
/// (RFC 3056), and Teredo (RFC 4380).
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let s = address.segments();
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match s {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0, 0, 0, 0, 0xffff, 0, high, low] => Some(v4(high, low)),
        // `::` and `::1` are no IPv4 addresses.
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => Some(v4(high, low)),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(v4(high, low)),
        [0x2002, high, low, ..] => Some(v4(high, low)),
        [0x2001, 0, .., high, low] => Some(v4(!high, !low)),
        _ => None,
    }
}

/// Where the address leads in the end.
pub(super) fn unwrapped(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => embedded(v6).map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

pub fn class_of(address: IpAddr) -> Class {
    match unwrapped(address) {
        IpAddr::V4(address) => class_of_v4(address),
        IpAddr::V6(address) => class_of_v6(address),
    }
}

fn class_of_v4(address: Ipv4Addr) -> Class {
    match address.octets() {
        _ if METADATA_V4.contains(&address) => Class::Metadata,
        [0, ..] => Class::Unspecified,
        [127, ..] => Class::Loopback,
        [169, 254, ..] => Class::LinkLocal,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => Class::Private,
        [224..=239, ..] => Class::Multicast,
        [240..=255, ..] | [192, 0, 0, _] | [192, 88, 99, _] | [198, 18..=19, ..] => Class::Special,
        _ => Class::Public,
    }
}

fn class_of_v6(address: Ipv6Addr) -> Class {
    match address.segments() {
        _ if METADATA_V6.contains(&address) => Class::Metadata,
        _ if address.is_unspecified() => Class::Unspecified,
        _ if address.is_loopback() => Class::Loopback,
        [0xfe80..=0xfebf, ..] => Class::LinkLocal,
        [0xff00..=0xffff, ..] => Class::Multicast,
        [0xfc00..=0xfdff, ..] => Class::Private,
        // Only 2000::/3 is given out; of it, 2001::/23 is for protocols and 2001:db8::/32 for documents. NAT64 with a
        // prefix of the network's own (64:ff9b:1::/48) is outside.
        [0x2001, 0..=0x1ff | 0xdb8, ..] => Class::Special,
        [0x2000..=0x3fff, ..] => Class::Public,
        _ => Class::Special,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Policy;
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn every_address_has_its_class_in_whatever_form() {
        for (class, addresses) in [
            (
                Class::Public,
                &["1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:8.8.8.8"][..],
            ),
            (Class::Public, &["64:ff9b::808:808", "2002:808:808::"]),
            (Class::Private, &["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1"]),
            (Class::Private, &["::ffff:10.0.0.1", "fc00::1", "fd12::1", "2002:a00:1::", "64:ff9b::c0a8:101"]),
            (Class::Loopback, &["127.0.0.1", "127.9.9.9", "::1", "::127.0.0.1", "::ffff:0:127.0.0.1"]),
            (Class::Loopback, &["64:ff9b::7f00:1", "2002:7f00:1::", "2001:0:1:2:3:4:80ff:fffe"]),
            (Class::LinkLocal, &["169.254.1.1", "fe80::1", "::ffff:169.254.1.1"]),
            (Class::Metadata, &["169.254.169.254", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe"]),
            (Class::Metadata, &["2002:a9fe:a9fe::", "fd00:ec2::254", "169.254.170.2", "100.100.100.200"]),
            (Class::Unspecified, &["0.0.0.0", "0.1.2.3", "::", "::ffff:0.0.0.0"]),
            (Class::Multicast, &["224.0.0.1", "239.1.1.1", "ff02::1"]),
            (Class::Special, &["192.0.0.8", "198.18.0.1", "255.255.255.255", "2001:db8::1", "100::1"]),
            (Class::Special, &["64:ff9b:1::1", "fec0::1"]),
        ] {
            for address in addresses {
                assert_eq!(class_of(ip(address)), class, "{address}");
                let is_public = class == Class::Public;
                assert_eq!(Policy::internet().judge(ip(address)).is_ok(), is_public, "{address}");
                let everything = Policy::anywhere().judge(ip(address)).is_ok();
                assert_eq!(everything, !class.is_never_reached(), "{address}");
            }
        }
    }

    #[test]
    fn a_listed_network_counts_for_every_form_of_its_addresses_and_for_no_other() {
        let policy = Policy::new(&["10.1.0.0/16".parse().expect("a network")]);
        for address in ["10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::a01:203", "2002:a01:203::"] {
            assert_eq!(policy.judge(ip(address)), Ok(()), "{address}");
        }
        assert_eq!(policy.judge(ip("10.2.0.1")), Err(Class::Private));
        assert_eq!(policy.judge(ip("127.0.0.1")), Err(Class::Loopback));
        let metadata = Policy::new(&["169.254.0.0/16".parse().expect("a network")]);
        assert_eq!(metadata.judge(ip("169.254.169.254")), Err(Class::Metadata));
        assert_eq!(metadata.judge(ip("169.254.1.1")), Err(Class::LinkLocal));
    }
}
