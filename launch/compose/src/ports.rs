//! `ports`, in the short form (`127.0.0.1:8554:554/tcp`) and in the long one.

use std::collections::HashSet;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use super::field::Field;
use super::finding::Findings;
use super::yaml::Value;
use super::{Finding, Located, Place, Port, Protocol, keys};

/// The maximum number of ports of a range and of a service.
const MAX_PORTS: usize = 1024;

/// Reads the ports of a service.
pub(super) fn read(field: &Field<'_>, findings: &mut Findings) -> Vec<Port> {
    let mut ports: Vec<Port> = Vec::new();
    let mut seen = HashSet::new();
    for item in field.items(findings) {
        let read = match &item.node.value {
            Value::Mapping(_) => long(&item, findings),
            Value::Scalar(scalar) => short(&scalar.text, &item.place()).unwrap_or_else(|reason| {
                findings.push(
                    Finding::error("invalid-port", item.place(), reason)
                        .with_help("write it as `\"8554:554\"` or `\"127.0.0.1:8554:554/udp\"`"),
                );
                Vec::new()
            }),
            Value::Sequence(_) => {
                findings.error("wrong-type", item.place(), "expected a port, found a list");
                Vec::new()
            }
        };
        for port in read {
            // The same port may be repeated, for example by a later file.
            if !seen.insert((port.host, port.published, *port.target, port.protocol)) {
                continue;
            }
            if ports.len() == MAX_PORTS {
                findings.error(
                    "too-many-ports",
                    item.place(),
                    format!("a service can have at most {MAX_PORTS} ports"),
                );
                return ports;
            }
            ports.push(port);
        }
    }
    ports
}

/// `[[HOST:]PUBLISHED:]TARGET[/PROTOCOL]`; published and target may be ranges.
fn short(text: &str, place: &Place) -> Result<Vec<Port>, String> {
    let (addresses, protocol) = match text.rsplit_once('/') {
        Some((addresses, protocol)) => (addresses, read_protocol(protocol)?),
        None => (text, Protocol::Tcp),
    };
    let (rest, target) = match addresses.rsplit_once(':') {
        Some((rest, target)) => (Some(rest), target),
        None => (None, addresses),
    };
    let (host, published) = match rest {
        None => (None, None),
        Some(rest) => match rest.rsplit_once(':') {
            Some((host, published)) => (Some(host), Some(published)),
            None => (None, Some(rest)),
        },
    };
    let host = host.filter(|host| !host.is_empty()).map(read_host).transpose()?;
    let targets = range(target)?;
    let published = published.filter(|published| !published.is_empty()).map(range).transpose()?;
    if let Some(published) = &published
        && published.len() != targets.len()
    {
        return Err(format!(
            "the port ranges differ in length: {} published, {} in the service",
            published.len(),
            targets.len()
        ));
    }
    if targets.len() > MAX_PORTS {
        return Err(format!("more than {MAX_PORTS} ports in one range"));
    }
    let published = published.map_or_else(|| vec![None; targets.len()], |range| range.map(Some).collect());
    Ok(published
        .into_iter()
        .zip(targets)
        .map(|(published, target)| Port {
            host,
            published,
            target: Located::new(target, place.clone()),
            protocol,
        })
        .collect())
}

fn long(field: &Field<'_>, findings: &mut Findings) -> Vec<Port> {
    keys::check(field, keys::PORT, findings);
    let Some(target) = field.get("target") else {
        findings.error("missing-key", field.place(), "a port needs `target`");
        return Vec::new();
    };
    let Some(number) = target.integer(1..=u16::MAX, findings) else { return Vec::new() };
    let published = field.get("published").and_then(|field| field.integer(0..=u16::MAX, findings));
    let mut text = |key| {
        let field = field.get(key)?;
        field.text(findings)
    };
    let (host, protocol) = (text("host_ip"), text("protocol"));
    let mut report = |place: &Place, reason| findings.error("invalid-port", place.clone(), reason);
    let host = host.and_then(|text| read_host(&text).map_err(|reason| report(&text.place, reason)).ok());
    let protocol =
        protocol.and_then(|text| read_protocol(&text).map_err(|reason| report(&text.place, reason)).ok());
    vec![Port {
        host,
        published: published.filter(|port| *port > 0),
        target: Located::new(number, target.place()),
        protocol: protocol.unwrap_or(Protocol::Tcp),
    }]
}

fn range(text: &str) -> Result<RangeInclusive<u16>, String> {
    let port = |text: &str| match text.parse() {
        Ok(port) if port > 0 && text.chars().all(|c| c.is_ascii_digit()) => Ok(port),
        _ => Err(format!("invalid port `{text}`: expected 1 to 65535")),
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (port(first)?, port(last)?);
    if first > last {
        return Err(format!("the range `{text}` ends before it begins"));
    }
    Ok(first..=last)
}

fn read_host(text: &str) -> Result<IpAddr, String> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse().map_err(|_| format!("invalid IP address `{text}`"))
}

fn read_protocol(text: &str) -> Result<Protocol, String> {
    match text {
        "tcp" => Ok(Protocol::Tcp),
        "udp" => Ok(Protocol::Udp),
        _ => Err(format!("invalid protocol `{text}`: expected tcp or udp")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::SourceFile;
    use super::*;

    fn read(text: &str) -> Result<Vec<String>, String> {
        let place = Place::whole(&SourceFile::new("compose.yaml", ""));
        let ports = short(text, &place)?;
        let show = |port: &Port| {
            format!("{:?} {:?} {} {:?}", port.host, port.published, *port.target, port.protocol)
        };
        Ok(ports.iter().map(show).collect())
    }

    #[test]
    fn the_short_form() {
        let table = [
            ("554", "None None 554 Tcp"),
            ("8554:554", "None Some(8554) 554 Tcp"),
            ("8554:554/udp", "None Some(8554) 554 Udp"),
            ("127.0.0.1:8554:554", "Some(127.0.0.1) Some(8554) 554 Tcp"),
            ("127.0.0.1::554", "Some(127.0.0.1) None 554 Tcp"),
            ("[::1]:8554:554", "Some(::1) Some(8554) 554 Tcp"),
            ("::1:8554:554", "Some(::1) Some(8554) 554 Tcp"),
        ];
        for (text, expected) in table {
            assert_eq!(read(text), Ok(vec![expected.to_owned()]), "{text}");
        }
        assert_eq!(read("3000-3001").unwrap().len(), 2);
        assert_eq!(read("9000-9001:80-81").unwrap()[1], "None Some(9001) 81 Tcp");
    }

    #[test]
    fn invalid_ports() {
        for text in [
            "",
            "x",
            "0",
            "65536",
            "+5",
            "1-",
            "2-1",
            "1-3:1-2",
            "1-2:5",
            "a:1:2",
            "1/sctp",
            "1:2:3:4:x",
            "1-65535",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
