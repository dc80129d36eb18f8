//! Supplemental enhancement information (SEI): the messages in a NAL unit.

use h264_reader::rbsp::{BitRead as _, BitReader, decode_nal};

/// The type of a recovery point message (ITU-T H.264, section D.1.8; ITU-T H.265, section D.2.8).
const RECOVERY_POINT: usize = 6;

/// How far into a NAL unit messages are looked for, bytes. Encoders write the message that is wanted first, or nearly so.
const MAX_BYTES: usize = 1024;

/// The number in the recovery point message of a NAL unit that has a header of `header` bytes: `recovery_frame_cnt` or
/// `recovery_poc_cnt`, as it is coded.
pub(crate) fn recovery_point(nal: &[u8], header: usize) -> Option<u32> {
    if nal.len() <= header {
        return None;
    }
    // Removes the first byte of the header.
    let rbsp = decode_nal(&nal[..nal.len().min(MAX_BYTES)]).ok()?;
    let mut rest = rbsp.get(header - 1..)?;
    loop {
        let kind = number(&mut rest)?;
        let length = number(&mut rest)?;
        if kind == RECOVERY_POINT {
            return BitReader::new(rest).read_ue("recovery_frame_cnt").ok();
        }
        rest = rest.get(length..)?;
    }
}

/// A type or a length: the sum of bytes up to the first one below 255 (section 7.3.2.3.1; H.265: 7.3.5).
fn number(rest: &mut &[u8]) -> Option<usize> {
    let mut sum = 0;
    loop {
        let (&byte, behind) = rest.split_first()?;
        *rest = behind;
        sum += usize::from(byte);
        if byte != 255 {
            return Some(sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_is_found_behind_others() {
        // User data of 260 bytes, then `recovery_frame_cnt` 0, with the emulation prevention of the first.
        let user_data = [&[0x06, 5, 255, 5][..], &[9; 256], &[0, 0, 3, 1, 9]].concat();
        let nal = [&user_data[..], &[6, 1, 0xc4, 0x80]].concat();
        assert_eq!(recovery_point(&nal, 1), Some(0));
        assert_eq!(recovery_point(&[0x4e, 1, 6, 1, 0b0010_0000], 2), Some(3));
        for cut in [&user_data[..], &[0x06], &[0x06, 6], &[0x06, 255], &[]] {
            assert_eq!(recovery_point(cut, 1), None);
        }
    }
}
