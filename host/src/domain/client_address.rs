//! Where a request comes from, behind proxies. `X-Forwarded-For` is a wish of whoever sent it, except where a proxy that
//! the operator named has written it.

use std::net::IpAddr;

use ipnet::IpNet;

/// The nearest address that is no trusted proxy, walking from who is connected through the header from its end.
/// `forwarded` are the header's lines in order. What is no address ends the walk: the proxy before it answers for it.
pub fn client_address(peer: IpAddr, forwarded: &[&str], trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|net| net.contains(address));
    let mut nearest = peer.to_canonical();
    let hops: Vec<&str> = forwarded.iter().flat_map(|line| line.split(',')).map(str::trim).collect();
    for hop in hops.iter().rev() {
        if !is_trusted(&nearest) {
            break;
        }
        let Ok(address) = hop.parse::<IpAddr>() else { break };
        nearest = address.to_canonical();
    }
    nearest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(peer: &str, forwarded: &[&str], trusted: &[&str]) -> String {
        let trusted: Vec<IpNet> = trusted.iter().map(|net| net.parse().expect("a network")).collect();
        client_address(peer.parse().expect("an address"), forwarded, &trusted).to_string()
    }

    #[test]
    fn only_what_a_trusted_proxy_wrote_counts() {
        // Nobody is trusted: whatever is claimed.
        assert_eq!(of("9.9.9.9", &["1.2.3.4"], &[]), "9.9.9.9");
        assert_eq!(of("9.9.9.9", &["1.2.3.4"], &["10.0.0.0/8"]), "9.9.9.9");
        // The proxy appends who it saw; what stood before is the sender's own invention.
        assert_eq!(of("10.0.0.1", &["1.1.1.1, 1.2.3.4"], &["10.0.0.0/8"]), "1.2.3.4");
        assert_eq!(of("10.0.0.1", &["6.6.6.6", "1.2.3.4, 10.0.0.2"], &["10.0.0.0/8"]), "1.2.3.4");
        assert_eq!(of("10.0.0.1", &[], &["10.0.0.0/8"]), "10.0.0.1");
        assert_eq!(of("10.0.0.1", &["1.2.3.4, unknown"], &["10.0.0.0/8"]), "10.0.0.1");
        assert_eq!(of("::ffff:10.0.0.1", &["2001:db8::1"], &["10.0.0.0/8"]), "2001:db8::1");
    }
}
