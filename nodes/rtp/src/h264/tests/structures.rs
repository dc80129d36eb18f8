//! Payload structures, and packets that cannot be used.

use super::*;

#[test]
fn every_structure_is_read() {
    let (p, m) = (packet, with_marker);
    let mtap16 = [&[26, 9, 9, 0, 8, 0, 0, 0][..], P, &[0, 8, 1, 0, 7], I].concat();
    let mtap24 = [&[27, 9, 9, 0, 8, 0, 0, 0, 0][..], P, &[0, 8, 1, 0, 0, 7], I].concat();
    let stap_b = [&[25, 9, 9], &stap(&[P])[1..]].concat();
    let fu_b = [&[29 | 0x40, 0x81, 9, 9], &P[1..4]].concat();
    let one: &'static [&'static [&'static [u8]]] = &[&[P]];
    type Row = (&'static str, Vec<Sent>, &'static [&'static [&'static [u8]]]);
    let table: &[Row] = &[
        ("single", vec![m(0, P)], one),
        ("STAP-A", vec![m(0, &stap(&[SPS, PPS, SEI, IDR, IDR_2]))], &[&[SEI, IDR, IDR_2]]),
        ("STAP-B", vec![m(0, &stap_b)], one),
        ("MTAP16", vec![m(0, &mtap16)], &[&[P], &[I]]),
        ("MTAP24", vec![m(0, &mtap24)], &[&[P], &[I]]),
        (
            "FU-A",
            vec![
                p(0, &fu(0x80, P[0], &P[1..3])),
                p(0, &fu(0, P[0], &P[3..4])),
                m(0, &fu(0x40, P[0], &P[4..])),
            ],
            one,
        ),
        ("FU-B", vec![p(0, &fu_b), m(0, &fu(0x40, P[0], &P[4..]))], one),
        ("FU-A with both bits", vec![m(0, &fu(0xc0, P[0], &P[1..]))], one),
        (
            "FU-A without end bits",
            vec![
                p(0, &fu(0x80, P[0], &P[1..3])),
                m(0, &fu(0, P[0], &P[3..])),
                m(1, &fu(0x80, I[0], &I[1..])),
            ],
            &[&[P], &[I]],
        ),
        ("FU-A with an empty start", vec![p(0, &fu(0x80, P[0], &[])), m(0, &fu(0x40, P[0], &P[1..]))], one),
        ("FU-A with an empty end", vec![p(0, &fu(0x80, P[0], &P[1..])), m(0, &fu(0x40, P[0], &[]))], one),
        (
            "FU-A with a start code",
            vec![p(0, &fu(0x80, 0, &annex_b(&[P])[1..7])), m(0, &fu(0x40, 0, &annex_b(&[P])[7..]))],
            one,
        ),
        (
            "FU-A of an Annex B stream",
            vec![m(0, &fu(0xc0, SPS[0], &[&SPS[1..], &annex_b(&[PPS, IDR])].concat()))],
            &[&[IDR]],
        ),
        (
            "a start sent twice",
            vec![
                p(0, &fu(0x80, P[0], &P[1..3])),
                p(0, &fu(0x80, P[0], &P[1..3])),
                m(0, &fu(0x40, P[0], &P[3..])),
            ],
            one,
        ),
        ("a slice sent twice", vec![p(0, IDR), p(0, IDR), p(0, IDR_2), m(0, IDR_2)], &[&[IDR, IDR_2]]),
        (
            "a middle sent twice",
            vec![
                p(0, &fu(0x80, P[0], &P[1..3])),
                p(0, &fu(0, P[0], LONG)),
                p(0, &fu(0, P[0], LONG)),
                m(0, &fu(0x40, P[0], &P[3..])),
            ],
            &[&[LONG_P]],
        ),
        (
            "a packet sent twice",
            vec![m(0, IDR), p(1, &stap(&[SEI, P])), p(1, &stap(&[SEI, P])), m(1, P_2), m(1, P_2)],
            &[&[IDR], &[SEI, P, P_2]],
        ),
        (
            "a marker sent twice",
            vec![m(0, IDR), m(1, I), m(2, &stap(&[SEI, P])), m(2, &stap(&[SEI, P])), m(3, I)],
            &[&[IDR], &[I], &[SEI, P], &[I]],
        ),
        (
            "start codes",
            vec![p(0, &annex_b(&[SPS])), p(0, &annex_b(&[PPS])), m(0, &annex_b(&[IDR]))],
            &[&[IDR]],
        ),
        ("Annex B", vec![m(0, &annex_b(&[AUD, SPS, PPS, SEI, IDR, IDR_2]))], &[&[AUD, SEI, IDR, IDR_2]]),
        (
            "Annex B, short codes",
            vec![m(0, &[AUD, &[0, 0, 1], IDR, &[0, 0, 1], IDR_2].concat())],
            &[&[AUD, IDR, IDR_2]],
        ),
        ("zeros at the end", vec![p(0, &[SPS, &[0, 0]].concat()), m(0, &[P, &[0; 9]].concat())], one),
        ("filler", vec![p(0, FILLER), p(0, IDR), p(0, FILLER), m(0, IDR_2)], &[&[IDR, IDR_2]]),
        (
            "sets with stamps and markers of their own",
            vec![m(0, SPS), m(1, PPS), m(2, SEI), m(3, IDR)],
            &[&[SEI, IDR]],
        ),
        ("padded STAP-A", vec![m(0, &[&stap(&[P])[..], &[0; 5]].concat())], one),
    ];
    for (name, packets, expected) in table {
        assert_eq!(units(packets), *expected, "{name}");
        assert_eq!(faults(packets), [], "{name}");
    }
}

#[test]
fn useless_packets_cost_nothing_else() {
    let (m, p) = (with_marker, packet);
    let table: &[(&str, &[u8], Fault)] = &[
        ("empty", &[], Fault::Empty),
        ("type 0", &[0x60, 1, 2], Fault::BadNal),
        ("type 30", &[0x7e, 1, 2], Fault::BadNal),
        ("type 31", &[0x7f, 1, 2], Fault::BadNal),
        ("reserved", &[0x77, 1, 2], Fault::BadNal),
        ("forbidden bit", &[0x86, 1, 2], Fault::BadNal),
        ("nested structure", &[24, 0, 3, 28, 0x80, 1], Fault::BadNal),
        ("fragment of a structure", &[28, 0xc0 | 24, 0, 1, 2], Fault::BadNal),
        ("fragment without content", &[28, 5], Fault::Empty),
        ("fragment without header", &[28], Fault::Empty),
        ("fragment of another unit", &[28, 0x06, 1, 2], Fault::Fragment),
        ("zeros", &[0, 0, 0, 0], Fault::BadNal),
        ("STAP-A without units", &[24], Fault::Empty),
        ("STAP-A of zeros", &[24, 0, 0, 0, 0], Fault::Empty),
        ("STAP-A cut", &[24, 0, 9, 6, 1], Fault::BadPayload),
        ("MTAP16 cut", &[26, 9, 9, 0, 9, 0, 0], Fault::BadPayload),
    ];
    for (name, noise, fault) in table {
        // Of another time and with a marker, between the fragments of a picture.
        let packets = [
            &[m(0, IDR), m(1, P), p(2, &fu(0x80, P[0], &P[1..3]))][..],
            &[m(7, noise)],
            &[m(2, &fu(0x40, P[0], &P[3..])), m(3, P)],
        ];
        let (found, faults) = push(&packets.concat());
        assert_eq!(found.iter().map(nals).collect::<Vec<_>>(), [[IDR], [P], [P], [P]], "{name}");
        assert!(found.iter().all(|unit| !unit.after_loss), "{name}");
        assert_eq!(faults, [(*fault, 1)], "{name}");
    }
}
