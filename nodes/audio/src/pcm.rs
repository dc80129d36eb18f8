//! Samples of 16 bits from what cameras send without compression, or with that of telephones.

use msight_media::Codec;

/// Every code of the µ-law and of the A-law as a sample (ITU-T G.711, tables 2 and 1).
const MU_LAW: [i16; 256] = table(true);
const A_LAW: [i16; 256] = table(false);

/// The samples of a unit; those of several channels take turns. `None` for a codec that is not one of
/// [`Codec::Pcma`], [`Codec::Pcmu`] and [`Codec::L16`]. Half a sample at the end of L16 is left out.
#[must_use]
pub fn decode_pcm(codec: Codec, data: &[u8]) -> Option<Vec<i16>> {
    let of_table = |table: &[i16; 256]| data.iter().map(|&code| table[usize::from(code)]).collect();
    match codec {
        Codec::Pcmu => Some(of_table(&MU_LAW)),
        Codec::Pcma => Some(of_table(&A_LAW)),
        Codec::L16 => Some(data.chunks_exact(2).map(|pair| i16::from_be_bytes([pair[0], pair[1]])).collect()),
        _ => None,
    }
}

const fn table(is_mu_law: bool) -> [i16; 256] {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        table[code] = if is_mu_law { mu_law(code as u8) } else { a_law(code as u8) };
        code += 1;
    }
    table
}

/// A code is a sign, the number of a chord in three bits, and a step of the chord in four. All bits are inverted.
const fn mu_law(code: u8) -> i16 {
    const BIAS: i16 = 33 << 2;
    let code = !code;
    let (chord, step) = (code >> 4 & 7, (code & 15) as i16);
    let size = (((step << 3) + BIAS) << chord) - BIAS;
    if code & 0x80 == 0 { size } else { -size }
}

/// As [`mu_law`], with every second bit inverted. The first two chords have steps of the same size.
const fn a_law(code: u8) -> i16 {
    let code = code ^ 0x55;
    let (chord, step) = (code >> 4 & 7, (code & 15) as i16);
    // The middle of the step.
    let size = (step << 4) + 8;
    let size = if chord == 0 { size } else { (size + 0x100) << (chord - 1) };
    if code & 0x80 == 0 { -size } else { size }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_laws_are_those_of_g711() {
        // The ends of both scales, and the smallest samples.
        let mu = |code: u8| decode_pcm(Codec::Pcmu, &[code]).unwrap()[0];
        assert_eq!([0x00, 0x80, 0x7f, 0xff, 0x7e, 0xfe].map(mu), [-32_124, 32_124, 0, 0, -8, 8]);
        let a = |code: u8| decode_pcm(Codec::Pcma, &[code]).unwrap()[0];
        assert_eq!([0x2a, 0xaa, 0x55, 0xd5].map(a), [-32_256, 32_256, -8, 8]);
        // Sizes grow with the codes.
        let sizes =
            |law: &dyn Fn(u8) -> i16, invert: u8| (0..128).map(|code| law(code ^ invert)).collect::<Vec<_>>();
        assert!(sizes(&mu, 0xff).is_sorted() && sizes(&a, 0xd5).is_sorted());
    }

    #[test]
    fn l16_is_big_endian() {
        assert_eq!(decode_pcm(Codec::L16, &[1, 2, 0xff, 0xfe, 7]), Some(vec![0x102, -2]));
        assert_eq!(decode_pcm(Codec::Aac, &[1]), None);
    }
}
