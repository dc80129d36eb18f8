//! The version of glibc that a program needs.

use anyhow::{Context as _, Result};
use object::Endianness;
use object::read::elf::ElfFile64;

/// The newest version of glibc among the symbol versions that a program requires.
pub(crate) fn newest_glibc(program: &[u8]) -> Result<(u32, u32)> {
    let file: ElfFile64<'_, Endianness> = ElfFile64::parse(program).context("not a 64-bit ELF file")?;
    let (endian, sections) = (file.endian(), file.elf_section_table());
    let needs = sections.gnu_verneed(endian, program).context("broken symbol versions")?;
    let (needs, strings) = needs.context("no symbol versions; is it linked statically?")?;
    let strings = sections.strings(endian, program, strings).context("no names of symbol versions")?;
    let mut newest = None;
    for library in needs {
        let (_, versions) = library.context("broken symbol versions")?;
        for version in versions {
            let name = version.and_then(|version| version.name(endian, strings));
            let name = String::from_utf8_lossy(name.context("broken symbol versions")?);
            newest = newest.max(glibc_version(&name));
        }
    }
    newest.context("it does not use glibc")
}

/// `GLIBC_2.34` is (2, 34); `GLIBCXX_3.4` is not glibc's.
fn glibc_version(name: &str) -> Option<(u32, u32)> {
    let (major, minor) = name.strip_prefix("GLIBC_")?.split_once('.')?;
    let minor = minor.split('.').next()?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_glibc_are_numbers() {
        assert_eq!(glibc_version("GLIBC_2.34"), Some((2, 34)));
        assert_eq!(glibc_version("GLIBC_2.2.5"), Some((2, 2)));
        for other in ["GLIBCXX_3.4.30", "GLIBC_PRIVATE", "GCC_3.0"] {
            assert_eq!(glibc_version(other), None, "{other}");
        }
    }

    #[test]
    fn this_program_requires_a_glibc() {
        let own = std::fs::read(std::env::current_exe().expect("a path")).expect("a file");
        let (major, minor) = newest_glibc(&own).expect("its glibc");
        assert_eq!(major, 2);
        assert!(minor >= 17, "{minor}");
        assert!(newest_glibc(b"#!/bin/sh").is_err());
    }
}
