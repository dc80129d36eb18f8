//! The versions of symbols that a program requires of shared libraries, and what they tell about the libraries.

use anyhow::{Context as _, Result};
use object::Endianness;
use object::read::elf::ElfFile64;

/// Required versions, such as `GLIBC_2.34`.
#[derive(Clone, Debug)]
pub(crate) struct SymbolVersions(Vec<String>);

/// The versions of GCC whose libstdc++ first has these symbols, from GCC's page about its ABI
/// (<https://gcc.gnu.org/onlinedocs/libstdc++/manual/abi.html>): the last number of `GLIBCXX_3.4.21`, and of `CXXABI_1.3.9`.
const GLIBCXX: [(u32, &str); 13] = [
    (20, "4.9"),
    (21, "5"),
    (22, "6"),
    (23, "7"),
    (24, "7.2"),
    (25, "8"),
    (26, "9"),
    (27, "9.2"),
    (28, "9.3"),
    (29, "11"),
    (30, "12"),
    (31, "13.1"),
    (32, "13.2"),
];
const CXXABI: [(u32, &str); 7] =
    [(8, "4.9"), (9, "5"), (10, "6"), (11, "7"), (12, "9"), (13, "11"), (14, "13.1")];

impl SymbolVersions {
    /// Those of a program.
    pub(crate) fn of(program: &[u8]) -> Result<Self> {
        let file: ElfFile64<'_, Endianness> = ElfFile64::parse(program).context("not a 64-bit ELF file")?;
        let (endian, sections) = (file.endian(), file.elf_section_table());
        let needs = sections.gnu_verneed(endian, program).context("broken symbol versions")?;
        let (needs, strings) = needs.context("no symbol versions; is it linked statically?")?;
        let strings = sections.strings(endian, program, strings).context("no names of symbol versions")?;
        let mut names = Vec::new();
        for library in needs {
            let (_, versions) = library.context("broken symbol versions")?;
            for version in versions {
                let name = version.and_then(|version| version.name(endian, strings));
                let name = String::from_utf8_lossy(name.context("broken symbol versions")?);
                names.push(name.into_owned());
            }
        }
        Ok(Self(names))
    }

    /// The newest glibc whose functions the program calls.
    pub(crate) fn glibc(&self) -> Result<(u32, u32)> {
        let newest = self.newest("GLIBC_").context("it does not use glibc")?;
        Ok((newest[0], newest[1]))
    }

    /// What a Debian package of the program depends on, such as `libc6 (>= 2.34), libgcc-s1 (>= 4.2), libstdc++6 (>= 5)`.
    pub(crate) fn debian_packages(&self) -> Result<String> {
        let (major, minor) = self.glibc()?;
        let mut packages = vec![format!("libc6 (>= {major}.{minor})")];
        if let Some([major, minor, _]) = self.newest("GCC_") {
            packages.push(format!("libgcc-s1 (>= {major}.{minor})"));
        }
        let first = |family, table: &[(u32, &'static str)]| {
            let Some([.., number]) = self.newest(family) else { return Ok(None) };
            let found = table.iter().find(|(known, _)| *known >= number);
            let (_, compiler) = found.with_context(|| format!("unknown version {number} of {family}"))?;
            anyhow::Ok(Some(*compiler))
        };
        let compilers = [first("GLIBCXX_", &GLIBCXX)?, first("CXXABI_", &CXXABI)?];
        let number = |compiler: &&str| parsed(compiler);
        if let Some(compiler) = compilers.into_iter().flatten().max_by_key(number) {
            packages.push(format!("libstdc++6 (>= {compiler})"));
        }
        Ok(packages.join(", "))
    }

    /// The newest version of a family of symbols.
    fn newest(&self, family: &str) -> Option<[u32; 3]> {
        self.0.iter().filter_map(|name| parsed(name.strip_prefix(family)?)).max()
    }
}

/// `2.2.5` is [2, 2, 5], and `2.34` is [2, 34, 0]; `PRIVATE` is no version.
fn parsed(version: &str) -> Option<[u32; 3]> {
    let mut numbers = [0; 3];
    for (at, number) in version.split('.').enumerate() {
        *numbers.get_mut(at)? = number.parse().ok()?;
    }
    Some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn versions(names: &[&str]) -> SymbolVersions {
        SymbolVersions(names.iter().map(|&name| name.to_owned()).collect())
    }

    #[test]
    fn the_newest_version_of_each_library_counts() {
        let names =
            ["GLIBC_2.2.5", "GLIBC_2.34", "GLIBC_2.4", "GLIBC_PRIVATE", "GCC_3.0", "GCC_4.2.0", "CXXABI_1.3"];
        assert_eq!(versions(&names).glibc().expect("glibc"), (2, 34));
        let packages = |more: &[&str]| versions(&[&names[..], more].concat()).debian_packages();
        let expected = "libc6 (>= 2.34), libgcc-s1 (>= 4.2), libstdc++6 (>= ";
        for (more, compiler) in [
            (&["GLIBCXX_3.4", "GLIBCXX_3.4.21"][..], "5"),
            (&["GLIBCXX_3.4.9", "CXXABI_1.3.9"], "5"),
            (&["GLIBCXX_3.4.30", "CXXABI_1.3.9"], "12"),
        ] {
            assert_eq!(packages(more).expect("packages"), format!("{expected}{compiler})"), "{more:?}");
        }
        let refused = packages(&["GLIBCXX_3.4.99"]).expect_err("an unknown version").to_string();
        assert!(refused.contains("99"), "{refused}");
        assert_eq!(versions(&["GLIBC_2.17"]).debian_packages().expect("packages"), "libc6 (>= 2.17)");
        assert!(versions(&["GCC_3.0"]).glibc().is_err());
    }

    #[test]
    fn this_program_requires_a_glibc() {
        let own = std::fs::read(std::env::current_exe().expect("a path")).expect("a file");
        let (major, minor) = SymbolVersions::of(&own).and_then(|own| own.glibc()).expect("its glibc");
        assert_eq!(major, 2);
        assert!(minor >= 17, "{minor}");
        assert!(SymbolVersions::of(b"#!/bin/sh").is_err());
    }
}
