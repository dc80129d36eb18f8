//! What is lost with packets that are missing or cannot be used.

use super::*;

#[test]
fn a_slice_of_a_header_alone_is_left_out() {
    let packets = [with_marker(0, IDR), packet(1, &P[..1]), with_marker(1, P), with_marker(2, P)];
    let (units, faults) = push(&packets);
    assert_eq!(units.iter().map(nals).collect::<Vec<_>>(), [[IDR], [P], [P]]);
    assert_eq!(faults, [(Fault::Empty, 1)]);
}

#[test]
fn lost_packets_cost_their_pictures() {
    let (m, p, g) = (with_marker, packet, gap);
    let (first, middle, last) = (fu(0x80, P[0], &P[1..3]), fu(0, P[0], &P[3..5]), fu(0x40, P[0], &P[5..]));
    let whole = || vec![m(0, IDR), m(1, P)];
    let incomplete = |n| vec![(Fault::Incomplete, n)];
    type Row = (&'static str, Vec<Sent>, Vec<(u32, bool)>, Vec<(Fault, u64)>);
    let table: Vec<Row> = vec![
        ("a middle", vec![p(2, &first), g(m(2, &last)), m(3, P)], vec![(3, true)], incomplete(1)),
        ("an end", vec![p(2, &first), g(m(3, P))], vec![(3, true)], incomplete(1)),
        ("a start", vec![g(p(2, &middle)), m(2, &last), m(3, P)], vec![(3, true)], incomplete(1)),
        (
            "end and start",
            vec![p(2, &first), g(p(3, &middle)), m(3, &last), m(4, P)],
            vec![(4, true)],
            incomplete(2),
        ),
        ("a whole picture", vec![g(m(3, P)), m(4, P)], vec![(3, true), (4, false)], vec![]),
        ("a second slice", vec![p(2, P), g(m(3, P))], vec![(3, true)], incomplete(1)),
        ("a first slice", vec![g(m(2, P_2)), m(3, P)], vec![(3, true)], incomplete(1)),
        ("sets", vec![g(p(2, SEI)), m(2, P), m(3, P)], vec![(2, true), (3, false)], vec![]),
        ("after sets", vec![p(2, SPS), g(m(2, P)), m(3, P)], vec![(2, true), (3, false)], vec![]),
        ("before noise", vec![g(m(9, &[0x7f])), m(3, P)], vec![(3, true)], vec![(Fault::BadNal, 1)]),
        (
            "a forbidden slice",
            vec![p(2, P), m(2, &[0xc1, 0x46]), m(3, P)],
            vec![(3, true)],
            vec![(Fault::BadNal, 1), (Fault::Incomplete, 1)],
        ),
        (
            "a cut slice",
            vec![p(2, P), m(2, &[24, 0, 9, 1, 0x46]), m(3, P)],
            vec![(3, true)],
            vec![(Fault::BadPayload, 1), (Fault::Incomplete, 1)],
        ),
        // No number is missing: the camera itself left it out.
        (
            "an end that was not sent",
            vec![p(2, &first), m(2, &last), p(3, &first), m(4, P)],
            vec![(2, false), (4, true)],
            vec![(Fault::Fragment, 1), (Fault::Incomplete, 1)],
        ),
        (
            "a start that was not sent",
            vec![p(2, &middle), m(2, &last), m(3, P)],
            vec![(3, true)],
            vec![(Fault::Fragment, 1), (Fault::Incomplete, 1)],
        ),
        (
            "an end sent twice",
            vec![p(2, &first), m(2, &fu(0x40, P[0], &P[3..])), m(2, &fu(0x40, P[0], &P[3..])), m(3, P)],
            vec![(2, false), (3, false)],
            vec![(Fault::Fragment, 1)],
        ),
    ];
    for (name, packets, expected, faults) in table {
        let (units, found) = push(&[whole(), packets].concat());
        let units: Vec<_> = units[2..].iter().map(|unit| (unit.timestamp, unit.after_loss)).collect();
        assert_eq!((units, found), (expected, faults), "{name}");
    }
}

#[test]
fn a_join_in_mid_picture_costs_that_picture() {
    let rest = [packet(0, &fu(0, IDR[0], &IDR[2..])), with_marker(0, &fu(0x40, IDR[0], &IDR[2..]))];
    for rest in [&rest[..], &[packet(0, IDR_2), with_marker(0, IDR_2)]] {
        let (units, faults) = push(&[rest, &[with_marker(1, P)]].concat());
        assert_eq!(
            units.iter().map(|unit| (nals(unit), unit.after_loss)).collect::<Vec<_>>(),
            [(vec![P.to_vec()], false)]
        );
        assert_eq!(faults, [(Fault::Incomplete, 1)]);
    }
}

#[test]
fn a_unit_that_is_too_long_is_discarded() {
    let body = vec![0xff; 60_000];
    let first = fu(0x80, P[0], &[&P[1..], &body].concat());
    let middle = packet(1, &fu(0, P[0], &body));
    let parts = vec![middle; MAX_UNIT_BYTES / body.len() + 10];
    let packets = [vec![with_marker(0, IDR), packet(1, &first)], parts, vec![with_marker(2, P)]].concat();
    let (units, faults) = push(&packets);
    assert_eq!(
        units.iter().map(|unit| (unit.timestamp, unit.after_loss)).collect::<Vec<_>>(),
        [(0, false), (2, true)]
    );
    assert_eq!(faults, [(Fault::TooLong, 1)]);
}
