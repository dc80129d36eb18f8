//! The size of a part of a message in MessagePack, without encoding it into memory.

use std::io;

use serde::Serialize;

/// The length of `part` in MessagePack, in bytes. A part that cannot be encoded counts up to the place of the error.
pub(crate) fn encoded_len<T: Serialize>(part: &T) -> usize {
    struct Counter(usize);
    impl io::Write for Counter {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut counter = Counter(0);
    let _ = rmp_serde::encode::write_named(&mut counter, part);
    counter.0
}
